"""What this node answers to those who ask for its health: byte for byte what kube-proxy of the dialect's release does.

Routers in front of a load balancer ask the ``healthCheckNodePort`` of a Service with external traffic policy Local
whether traffic for it is to come here, and ``/healthz`` for all others (KEP-3836). After pkg/proxy/healthcheck of
Kubernetes: service_health.go and proxy_health.go, in 1.18 and 1.20 proxier_health.go.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable, NamedTuple

from .. import addresses
from ..outages import NO_OUTAGES, Outages
from ..release import RELEASES, Release
from ..settings import Settings
from ..view import PortView, View, asked

Place = tuple[str, int]
"""An address and a port to listen on."""

_ANY = {addresses.IPV4: "0.0.0.0", addresses.IPV6: "::"}
_JSON = (("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"))
_TEXT = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
_SECOND = 1_000_000_000
_STARTED = time.monotonic_ns()


class Local(NamedTuple):
    """A Service with a health check node port, and how many ready endpoints it has on this node."""

    namespace: str
    name: str
    port: int
    endpoints: int


class Health(NamedTuple):
    """How this node is, whatever its endpoints do.

    ``healthy``: the last apply went well and is in force. ``eligible``: nobody drains the node. ``updated``: when it
    was brought to what is in force, in seconds of the epoch; 0 where that is not known.
    """

    healthy: bool = True
    eligible: bool = True
    updated: int = 0


class Answer(NamedTuple):
    """An answer but for what HTTP adds to it. ``headers`` are in the order in which Go sends them: sorted."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Handler(NamedTuple):
    """Who answers on a port. ``name`` is for people; ``answer`` is given the path that is asked for."""

    name: str
    answer: Callable[[str], Answer]


def local_endpoints(views: Iterable[View], outages: Outages = NO_OUTAGES) -> list[Local]:
    """The Services with a health check node port, in the order of the views, which are those without outages.

    An endpoint counts once, whatever ports it has; it has to be ready and local, and not to be out on all of them:
    what is down does not count even where the Service goes on without any that is up. One that terminates is not
    ready, though it may serve: the router is to turn away first (KEP-1669). A Service of two families has an endpoint
    in each for every Pod: the first of the views that has it counts.
    """
    found: dict[tuple[str, str], tuple[int, set[str]]] = {}
    for view in views:
        here: dict[tuple[str, str], tuple[int, set[str]]] = {}
        for port in view.ports:
            if port.health_check_node_port:
                _number, ready = here.setdefault(_service_of(port), (port.health_check_node_port, set()))
                ready.update(_ready(port, view.own, outages))
        found = {**here, **found}
    return [Local(*name, port, len(ready)) for name, (port, ready) in found.items()]


def _service_of(port: PortView) -> tuple[str, str]:
    namespace, _slash, name = port.display_name.partition("/")
    return namespace, name.partition(":")[0]


def _ready(port: PortView, own: Collection[str], outages: Outages) -> Iterator[str]:
    for target in port.endpoints:
        if (
            target.endpoint.ready
            and target.endpoint.node in own
            and target.address not in outages.drained
            and not (outages.down and asked(port, target) in outages.down)
        ):
            yield target.address


def handlers(
    settings: Settings, views: Mapping[str, View], outages: Outages, health: Callable[[], Health]
) -> dict[Place, Handler]:
    """Who answers where on the node that ``settings`` describe; ``views`` by family, without outages.

    Who asks by an address of one family is told of the endpoints of that family, if the Service has it.
    """
    release = RELEASES[settings.compat]
    proxy = Handler("sluice_healthz", functools.partial(_proxy, health, release, settings.ip_families))
    found = dict.fromkeys(_healthz_places(settings), proxy)
    for family in settings.ip_families:
        order = sorted(views, key=lambda other: (other != family, other))
        for local in local_endpoints([views[each] for each in order], outages):
            handler = Handler(
                f"healthCheckNodePort of {local.namespace}/{local.name}",
                functools.partial(_service, health, release, local),
            )
            for address in _addresses(settings, family):
                found.setdefault((address, local.port), handler)
    return found


def _healthz_places(settings: Settings) -> Iterator[Place]:
    """``[::]`` means both families, as for kube-proxy."""
    if settings.healthz:
        address, port = addresses.split_port(settings.healthz)
        yield address, port
        if address == _ANY[addresses.IPV6]:
            yield _ANY[addresses.IPV4], port


def _addresses(settings: Settings, family: str) -> Sequence[str]:
    """The addresses of this node that answer for Services."""
    networks = settings.health_networks(family)
    if addresses.ANY[family] in networks:
        return [_ANY[family]]
    named = [net.partition("/")[0] for net in networks if net == addresses.host_network(net.partition("/")[0])]
    own = [text for text in settings.node_addresses if any(addresses.contains(net, text) for net in networks)]
    # An IPv6 address of a link is none without that link.
    return [text for text in dict.fromkeys(named + own) if not text.startswith(("fe8", "fe9", "fea", "feb"))]


def _service(health: Callable[[], Health], release: Release, local: Local, _path: str) -> Answer:
    return service(local, health(), release)


def _proxy(health: Callable[[], Health], release: Release, families: Sequence[str], path: str) -> Answer:
    return proxy(path, health(), release, families, time.time_ns(), time.monotonic_ns() - _STARTED)


def service(local: Local, health: Health, release: Release) -> Answer:
    """What a health check node port answers, whatever is asked.

    Nothing is to come to a drained node: then, too, it says that the proxy is not healthy. Releases that cannot say so
    answer 503 all the same.
    """
    well = health.healthy and health.eligible
    lines = [
        "{",
        '\t"service": {',
        f'\t\t"namespace": "{local.namespace}",',
        f'\t\t"name": "{local.name}"',
        "\t},",
        f'\t"localEndpoints": {local.endpoints}' + ("," if release.health_weight else ""),
        *([f'\t"serviceProxyHealthy": {json.dumps(well)}'] if release.health_weight else ()),
        "}",
    ]
    weight = (("X-Load-Balancing-Endpoint-Weight", str(local.endpoints)),) if release.health_weight else ()
    return Answer(200 if local.endpoints and well else 503, _JSON + weight, "\n".join(lines).encode())


def proxy(path: str, health: Health, release: Release, families: Sequence[str], now: int, running: int) -> Answer:
    """What ``/healthz`` and ``/livez`` answer.

    ``now``: nanoseconds of the epoch. ``running``: nanoseconds since this process began, which older releases tell.
    """
    if path == "/healthz":
        well = health.healthy and health.eligible
    elif path == "/livez" and release.livez:
        well = health.healthy
    else:
        return Answer(404, _TEXT, b"404 page not found\n")
    if not release.livez:
        current = f"{_go_text(now)} m=+{running // _SECOND}.{running % _SECOND:09d}"
        updated = current if well else _go_text(health.updated * _SECOND)
        text = f'{{"lastUpdated": "{updated}","currentTime": "{current}"}}'
        return Answer(200 if well else 503, _JSON, text.encode())
    brought = _rfc_3339(health.updated * _SECOND)
    value: dict[str, Any] = {"lastUpdated": _rfc_3339(now) if well else brought, "currentTime": _rfc_3339(now)}
    if path == "/healthz":
        value["nodeEligible"] = health.eligible
    value["healthy"] = health.healthy
    if health.updated:
        value["status"] = {each: {"lastUpdated": brought, "healthy": health.healthy} for each in sorted(families)}
    return Answer(200 if well else 503, _JSON, json.dumps(value, separators=(",", ":")).encode())


def _rfc_3339(moment: int) -> str:
    """As Go's encoding/json has it (RFC3339Nano): without zeros at the end of the fraction."""
    return f"{_date(moment)}T{_clock(moment)}Z"


def _go_text(moment: int) -> str:
    """As Go's ``time.Time.String`` has it."""
    return f"{_date(moment)} {_clock(moment)} +0000 UTC"


def _date(moment: int) -> str:
    # What was never is the first day of Go's calendar.
    return time.strftime("%Y-%m-%d", time.gmtime(moment // _SECOND)) if moment else "0001-01-01"


def _clock(moment: int) -> str:
    fraction = f".{moment % _SECOND:09d}".rstrip("0").rstrip(".")
    return time.strftime("%H:%M:%S", time.gmtime(moment // _SECOND)) + fraction
