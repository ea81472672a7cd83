"""What the supervisor of health knows, in numbers, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .. import addresses
from ..health.reasons import State
from ..outages import Asked
from ..view import CLOSED, OPEN
from . import exposition
from .exposition import COUNTER, GAUGE, Labels, Metric, Values, counter, metric
from .findings import Findings
from .rendering import Use

MOST_SERIES = 200
"""Service ports that have series of their own: of all that could have, a Prometheus of many nodes would be full."""

_SORRY = "sorry"


class ServicePort(NamedTuple):
    """A service port by the name that kube-proxy has for it, in one address family."""

    name: str
    family: str

    @property
    def labels(self) -> Labels:
        namespace, _slash, rest = self.name.partition("/")
        service, _colon, port = rest.partition(":")
        return ("namespace", namespace), ("service", service), ("port", port), ("family", self.family)


class HealthMetrics:
    """Keeps what is the same for as long as the checks are."""

    def __init__(self) -> None:
        self._checks: Mapping[Asked, Sequence[Use]] = {}
        self._endpoints: Counter[ServicePort] = Counter()

    def text(self, found: Findings) -> str:
        """The metrics. Of all checks no more is looked at, one by one, than their states."""
        if found.checks is not self._checks:
            self._checks = found.checks
            self._endpoints = Counter(_port_of(use) for uses in found.checks.values() for use in uses)
        return exposition.text([*_of_checks(found), *self._of_service_ports(found), *_of_node(found)])

    def _of_service_ports(self, found: Findings) -> Iterator[Metric]:
        down: Counter[ServicePort] = Counter()
        then: dict[ServicePort, str] = {}
        for check, verdict in found.known.items():
            if verdict.state is State.DOWN:
                for use in found.checks.get(check, ()):
                    port = _port_of(use)
                    down[port] += 1
                    then[port] = use.on_all_down
        dead = [port for port, count in down.items() if count == self._endpoints[port]]
        counted = Counter(then[port] if then[port] in (OPEN, CLOSED) else _SORRY for port in dead)
        all_down: Values = {(("then", word),): counted[word] for word in (OPEN, CLOSED, _SORRY)}
        description = "Service ports of which all that is asked is down, by what becomes of them."
        yield Metric("health_service_ports_all_down", GAUGE, description, all_down)
        # Those that serve nobody come first.
        order = sorted(down, key=lambda port: (down[port] < self._endpoints[port], port))
        told = sorted(order[:MOST_SERIES])
        some = "of a service port that has one down"
        endpoints: Values = {port.labels: self._endpoints[port] for port in told}
        yield Metric("health_service_endpoints", GAUGE, f"Endpoints that are asked, {some}.", endpoints)
        out: Values = {port.labels: down[port] for port in told}
        yield Metric("health_service_endpoints_down", GAUGE, f"Endpoints that are down, {some}.", out)
        description = f"Service ports that have one down and no series of their own: more than {MOST_SERIES} have one."
        yield metric("health_service_ports_left_out", description, len(order) - len(told))


def _port_of(use: Use) -> ServicePort:
    return ServicePort(use.name, addresses.family_of(use.address))


def _of_checks(found: Findings) -> Iterator[Metric]:
    told, beat, changes = found.summary, found.heartbeat, found.changes
    states: Values = {(("state", word),): getattr(told, word) for word in ("up", "down", "unknown")}
    yield Metric("health_checks", GAUGE, "Checks, by what they say of their endpoint.", states)
    to: Values = {(("state", "up"),): changes[State.UP], (("state", "down"),): changes[State.DOWN]}
    yield Metric("health_changes_total", COUNTER, "How often an endpoint was found down, and up again.", to)
    yield metric("health_checker_up", "Whether the process that asks is there.", int(beat is not None))
    yield counter("health_checks_done_total", "Checks that were done.", beat.done if beat else None)
    yield metric("health_checks_under_way", "Checks that wait for their answer.", beat.flying if beat else None)
    late = "Seconds by which 99 of 100 checks began late at most, in the last second."
    yield metric("health_checks_late_seconds", late, beat.late / 1e6 if beat else None)


def _of_node(found: Findings) -> Iterator[Metric]:
    dropped, stale, refused = found.unheeded
    yield metric("health_drained_addresses", "Addresses that an operator drains.", found.drained)
    yield metric("health_node_drained", "Whether an operator drains this node.", int(not found.node.eligible))
    healthy = "Whether the last apply went well and is in force, as /livez says."
    yield metric("health_node_healthy", healthy, int(found.node.healthy))
    yield metric("health_failing", "Whether the kernel is not brought to what is down.", int(bool(found.error)))
    yield metric("health_generation", "Number of the generation whose endpoints are asked.", found.generation)
    yield counter("health_records_dropped_total", "Records of the checker that could not be.", dropped)
    yield counter("health_records_stale_total", "Records of the checker about an earlier list.", stale)
    yield counter("health_connections_refused_total", "Connections of others than the checker.", refused)
