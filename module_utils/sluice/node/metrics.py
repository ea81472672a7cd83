"""What a node is, in numbers, for Prometheus."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .. import __version__
from ..backends.interface import Files
from ..catalogue.model import Catalogue, Service
from . import exposition, files, history
from .exposition import COUNTER, GAUGE, Labels, Metric, Values, metric
from .status import Status
from .traffic import ServicePort, Traffic

MOST_SERIES = 500
"""Service ports that have series of their own, and Services without endpoints: as in module health_metrics."""

WITHOUT_RULES = (files.SETTINGS_FILE, files.CATALOGUE_FILE)
"""A node's files that hold no rules; the catalogue may be megabytes."""

_RULE = re.compile(r"^(?:-[Aa] .*|add (?!element ).*|\t+[^{}\n]+)$", re.MULTILINE)
"""A rule, virtual server or real server as it is added, an element of a set; rules and elements of nft."""


def text(found: Status, contents: Files, catalogue: Catalogue | None, traffic: Traffic) -> str:
    """The metrics of a node; one that is not known is left out.

    ``contents``: the node's files that have rules; ``catalogue``: what is in them, None where that cannot be read.
    """
    services = _of_services(catalogue) if catalogue else ()
    return exposition.text([*_of_node(found), *_of_rules(contents), *services, *_of_traffic(traffic)])


def _of_node(found: Status) -> Iterator[Metric]:
    held = found.held
    count, room = found.connections
    labels: Labels = (("backend", found.backend), ("version", __version__))
    yield Metric("node_info", GAUGE, "What programs this node, always 1.", {labels: 1})
    yield metric("generation", "Number of the generation in force.", found.in_force.generation)
    since = "When the generation in force was put there, in seconds of the epoch."
    yield metric("generation_timestamp_seconds", since, _seconds(found.in_force.time))
    yield metric("services", "Services that program rules.", held.services if held else None)
    endpoints: Values = {
        (("ready", "true"),): held.ready if held else None,
        (("ready", "false"),): held.endpoints - held.ready if held else None,
    }
    yield Metric("endpoints", GAUGE, "Endpoints of these Services.", endpoints)
    yield metric("endpoints_without_route", "Endpoints that this node has no route to.", len(found.unrouted))
    yield metric("drift_lines", "Lines in which the kernel differs from the node's files.", found.drift.lines)
    yield metric("drift_known", "Whether the kernel could be compared.", int(found.drift.lines is not None))
    yield metric("last_apply_success", "Whether the last apply went well.", int(not found.error))
    failed = "When the last apply failed, in seconds of the epoch."
    yield metric("last_apply_failed_timestamp_seconds", failed, _time_of(found.error))
    yield metric("change_pending", "Whether a change waits for its confirmation.", int(bool(found.waiting)))
    yield metric("change_taken_back", "Whether the node took the last change back.", int(bool(found.rolled_back)))
    yield metric("connections", "Connections that conntrack has.", count if room else None)
    yield metric("connections_max", "Connections that conntrack has room for.", room or None)


def rule_counts(contents: Files) -> dict[str, int]:
    """How many rules, and elements of sets, each of a node's files has."""
    names = sorted(set(contents).difference(WITHOUT_RULES))
    return {name: len(_RULE.findall(contents[name])) for name in names}


def _of_rules(contents: Files) -> Iterator[Metric]:
    rules: Values = {(("file", name),): count or None for name, count in rule_counts(contents).items()}
    yield Metric("rules", GAUGE, "Rules, and elements of sets, by the node's file that has them.", rules)


def _of_services(catalogue: Catalogue) -> Iterator[Metric]:
    found = [service for service in catalogue.services if not _is_ready(service)]
    description = "Services that program rules and have no endpoint that is ready."
    yield metric("services_without_ready_endpoints", description, len(found))
    named: Values = {
        (("namespace", service.namespace), ("service", service.name)): 1 for service in found[:MOST_SERIES]
    }
    description = f"Is 1 for a Service that has no endpoint that is ready, {MOST_SERIES} of them at most."
    yield Metric("service_without_ready_endpoints", GAUGE, description, named)


def _is_ready(service: Service) -> bool:
    return any(endpoint.ready for piece in service.slices for endpoint in piece.endpoints)


def _of_traffic(traffic: Traffic) -> Iterator[Metric]:
    """Those of the service ports that most was sent to."""
    order = sorted(traffic, key=lambda port: (-traffic[port].total.connections, -traffic[port].total.bytes_in, port))
    connections: dict[Labels, int] = {}
    packets: dict[Labels, int] = {}
    sizes: dict[Labels, int] = {}
    for port in sorted(order[:MOST_SERIES]):
        labels, (total, _endpoints, whole) = _labels(port), traffic[port]
        connections[labels] = total.connections
        of = (("counted", "all" if whole else "first"),)
        directions = ("in", "out") if whole else ("in",)
        for direction in directions:
            each = (*labels, ("direction", direction), *of)
            packets[each] = total.packets_in if direction == "in" else total.packets_out
            sizes[each] = total.bytes_in if direction == "in" else total.bytes_out
    yield Metric("service_connections_total", COUNTER, "Connections to a service port.", connections)
    which = "of a service port; counted first: of those alone that begin a connection."
    yield Metric("service_packets_total", COUNTER, f"Packets {which}", packets)
    yield Metric("service_bytes_total", COUNTER, f"Bytes of packets {which}", sizes)
    description = f"Service ports whose connections are counted in no series: more than {MOST_SERIES} have one."
    yield metric("service_ports_left_out", description, len(order) - len(connections) if order else None)


def _labels(port: ServicePort) -> Labels:
    return ("namespace", port.namespace), ("service", port.service), ("port", port.name), ("protocol", port.protocol)


def _time_of(value: Mapping[str, Any] | None) -> int | None:
    return _seconds(value["time"]) if value else None


def _seconds(time: str) -> int | None:
    """A time that was kept in seconds of the epoch; None where it is none."""
    try:
        found = datetime.datetime.strptime(history.in_utc(time), "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None
    return int(found.replace(tzinfo=datetime.timezone.utc).timestamp())
