"""The catalogue as one node sees it: which endpoints serve each service port here.

After KEP-1669 (terminating endpoints), KEP-2086 (internalTrafficPolicy), KEP-2433 and KEP-3015 (hints), as far as
the dialect's release knows them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from . import addresses, forms, names, probes
from .balancing import MAX_WEIGHT
from .catalogue.model import EVERY_NODE, ZONE_LABEL, Catalogue, Endpoint, HostPort, Service, ServicePort
from .faults import Fault, InputError
from .forms import FormError, matching, optional, rows, several, whole
from .outages import NO_OUTAGES, Asked, Outages
from .probes import Probe
from .release import RELEASES, Release
from .settings import Settings

LARGE_CLUSTER = 1000
"""Above this many endpoints kube-proxy omits the comments of per-endpoint rules."""

_EXTERNAL_TYPES = ("LoadBalancer", "NodePort")


class Target(NamedTuple):
    """An endpoint on one port: ``text`` is ``ip:port``, kube-proxy's name for it.

    ``port_names``: the ports of its slice that have a name, where a probe asks one by its name.
    """

    text: str
    address: str
    port: int
    endpoint: Endpoint
    port_names: tuple[tuple[str, int], ...] = ()


class PortView(NamedTuple):
    """One service port on one node, in one address family.

    ``cluster`` are the targets of traffic policy Cluster, ``local`` those of policy Local, both in kube-proxy's order
    (by text); each is empty where no policy of the port uses it. ``has_endpoints``: some node has a usable endpoint.
    ``endpoints`` are all that kube-proxy of the dialect's release keeps, usable or not.
    """

    display_name: str
    protocol: str
    cluster_ip: str
    port: int
    node_port: int
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    affinity_seconds: int
    external_local: bool
    internal_local: bool
    health_check_node_port: int
    cluster: tuple[Target, ...]
    local: tuple[Target, ...]
    has_endpoints: bool
    endpoints: tuple[Target, ...]
    annotations: tuple[tuple[str, str], ...]
    probe: Probe | None = None

    @property
    def external(self) -> bool:
        """Whether anything but the ClusterIP leads to it."""
        return bool(self.node_port or self.load_balancer_ips or self.external_ips)

    @property
    def targets(self) -> list[Target]:
        """All targets that this node may send to, each once."""
        return list(dict.fromkeys(self.cluster + self.local))


class View(NamedTuple):
    """What one node programs in one address family."""

    family: str
    ports: tuple[PortView, ...]
    host_ports: tuple[HostPort, ...]
    endpoint_count: int
    """How many endpoints kube-proxy counts against LARGE_CLUSTER."""
    own: Collection[str] = ()
    """The nodes whose endpoints are local here."""


class Place(NamedTuple):
    """Where a view is from, and what is left out there. ``own``: the nodes whose endpoints are local here."""

    release: Release
    node: str
    zone: str
    own: Collection[str]
    outages: Outages
    settings: Settings


def view(catalogue: Catalogue, settings: Settings, family: str, outages: Outages = NO_OUTAGES) -> View:
    """The view of the node that ``settings`` describe, in ``family``. Services of other families are not in it.

    What is out counts as not ready; how many endpoints there are does not change with it.
    """
    where = place(catalogue, settings, outages)
    return joined([ports(service, family, where) for service in catalogue.services], catalogue, family, where)


def joined(found: Sequence[tuple[tuple[PortView, ...], int]], catalogue: Catalogue, family: str, place: Place) -> View:
    """The view that ``ports`` of each Service make."""
    return View(
        family,
        tuple(port for seen, _count in found for port in seen),
        tuple(_host_ports(catalogue.host_ports, place.node, family)),
        sum(count for _seen, count in found),
        place.own,
    )


def place(catalogue: Catalogue, settings: Settings, outages: Outages = NO_OUTAGES) -> Place:
    """The node that ``settings`` describe."""
    return Place(
        release=RELEASES[settings.compat],
        node=settings.node_name,
        zone={**catalogue.node_labels(settings.node_name), **settings.labels}.get(ZONE_LABEL, ""),
        own={settings.node_name, EVERY_NODE, *([""] if settings.endpoints_without_node == "local" else [])},
        outages=outages,
        settings=settings,
    )


def ports(service: Service, family: str, place: Place) -> tuple[tuple[PortView, ...], int]:
    """The ports of one Service as they are seen from there, and how many endpoints it has to count."""
    by_port = _endpoints_by_port(service, family, place)
    cluster_ip = addresses.first(service.cluster_ips, family)
    seen = (_port_view(service, port, cluster_ip, by_port, place) for port in service.ports) if cluster_ip else ()
    return tuple(seen), sum(map(len, by_port.values()))


def _endpoints_by_port(service: Service, family: str, place: Place) -> dict[tuple[str, str], list[Target]]:
    """The service's targets by (port name, protocol), each ``ip:port`` once, sorted by that text.

    An endpoint may stand in several slices while its Service is being changed, or its address may be another one's
    already (kubernetes#135593): then the better entry counts, wherever it stands.
    """
    found: dict[tuple[str, str], dict[str, Target]] = {}
    node, release, probe = place.node, place.release, _probe(service, place.settings)
    by_name = probe is not None and isinstance(probe.port, str)
    for piece in service.slices:
        if piece.family != family:
            continue
        port_names = tuple((port.name, port.port) for port in piece.ports if port.name) if by_name else ()
        for name, protocol, number in piece.ports:
            targets = found.setdefault((name, protocol), {})
            for endpoint in piece.endpoints:
                if not (endpoint.ready or release.counts_unready):
                    continue
                text = addresses.host_port(endpoint.address, number)
                other = targets.get(text)
                if not other or _worth(endpoint, node, release) > _worth(other.endpoint, node, release):
                    targets[text] = Target(text, endpoint.address, number, endpoint, port_names)
    return {key: [targets[text] for text in sorted(targets)] for key, targets in found.items()}


def _worth(endpoint: Endpoint, node: str, release: Release) -> tuple[object, ...]:
    """What speaks for an entry where two have one address. The last only makes the choice the same everywhere."""
    stays = not (release.terminating_fallback and endpoint.terminating)
    return stays, endpoint.ready, endpoint.node == node, endpoint.serving, repr(endpoint)


def _port_view(
    service: Service,
    port: ServicePort,
    cluster_ip: str,
    by_port: dict[tuple[str, str], list[Target]],
    place: Place,
) -> PortView:
    release = place.release
    family = addresses.family_of(cluster_ip)
    external_ips = _of_family(service.external_ips, family)
    vips = (entry.address for entry in service.ingress if entry.mode == "VIP" or not release.ip_mode)
    ranges = _of_family(service.source_ranges, family)
    accessible = service.type in _EXTERNAL_TYPES or (release.external_ip_policy and bool(service.external_ips))
    seen = PortView(
        display_name=names.display_name(
            service.namespace, service.name, port.name, trailing_colon=release.trailing_colon
        ),
        protocol=port.protocol.lower(),
        cluster_ip=cluster_ip,
        port=port.port,
        node_port=port.node_port,
        external_ips=external_ips,
        load_balancer_ips=_of_family(vips, family),
        source_ranges=() if release.open_range and addresses.ANY[family] in ranges else ranges,
        affinity_seconds=service.affinity_seconds,
        external_local=service.external_local and accessible,
        internal_local=service.internal_local and release.internal_policy,
        health_check_node_port=service.health_check_node_port,
        cluster=(),
        local=(),
        has_endpoints=False,
        endpoints=(),
        annotations=service.annotations,
        probe=_probe(service, place.settings),
    )
    return _with_endpoints(seen, by_port.get((port.name, port.protocol), []), place)


def _with_endpoints(port: PortView, targets: list[Target], place: Place) -> PortView:
    """``port`` with the targets that its traffic policies leave on this node.

    Policy Local needs the cluster's endpoints as well where the port is reached from outside: what the node itself
    sends to an external address goes to any of them. Hints narrow policy Cluster only.
    """
    release = place.release
    targets = _without_outages(port, targets, place)
    usable = _usable(targets, release)
    uses_cluster = not port.internal_local or port.external
    # Up to 1.23 the chain of local endpoints was made whether anything led to it or not.
    external_local = port.external_local and (port.external or release.local_always)
    uses_local = port.internal_local or external_local
    local = _usable([target for target in targets if target.endpoint.node in place.own], release) if uses_local else []
    cluster = (
        _near(usable, place.node, place.zone) if uses_cluster and release.hints else usable if uses_cluster else []
    )
    return port._replace(
        cluster=tuple(cluster), local=tuple(local), has_endpoints=bool(usable), endpoints=tuple(targets)
    )


# --- health


def asked(port: PortView, target: Target) -> Asked | None:
    """The check that says whether ``target`` answers; None where none can.

    A probe that names no port asks the endpoint's own, if that takes the probe's protocol.
    """
    if port.probe is None or (port.probe.port == 0 and port.probe.transport not in ("", port.protocol)):
        return None
    number = port.probe.asked(target.port, dict(target.port_names))
    return None if number is None else (target.address, number, _question(port.probe))


def _probe(service: Service, settings: Settings) -> Probe | None:
    text = settings.health and (dict(service.annotations).get("health-check") or settings.health_check)
    return _parsed(text) if text else None


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> Probe:
    return probes.probe(json.loads(text))


@functools.lru_cache(maxsize=1024)
def _question(probe: Probe) -> str:
    return probe.question


def _without_outages(port: PortView, targets: list[Target], place: Place) -> list[Target]:
    """What is out neither is ready nor serves; it stays known where the release keeps what is not ready.

    Where nothing else would serve what is drained is out all the same; what is down stays as the catalogue says, or
    somebody says sorry, as the probe or the node's settings want it.
    """
    out, release = place.outages, place.release
    left = targets
    if not out.drained.isdisjoint([target.address for target in targets]):
        left = [_out(target) if target.address in out.drained else target for target in targets]
    if out.down and port.probe:
        well = [_out(target) if asked(port, target) in out.down else target for target in left]
        if well != left:
            left = _well(port.probe, _usable(left, release), _usable(well, release), left, well, place)
    if left is targets or release.counts_unready:
        return left
    return [target for target in left if target.endpoint.ready]


def _well(
    probe: Probe, before: list[Target], after: list[Target], left: list[Target], well: list[Target], place: Place
) -> list[Target]:
    """``well``, which has ``after`` that can be used, or what stands in where these are too few of those ``before``."""
    if not before or len(after) * 100 >= len(before) * max(probe.min_healthy_percent, 1):
        return well
    if after:
        return left  # fewer than are needed: all have to help
    then = probe.on_all_down or place.settings.health_on_all_down
    if then == OPEN:
        return left
    if then == CLOSED:
        return well
    address, port = addresses.split_port(then)
    if addresses.family_of(address) != addresses.family_of(before[0].address):
        return well
    return [*well, Target(addresses.host_port(address, port), address, port, Endpoint(address, EVERY_NODE))]


OPEN, CLOSED = "open", "closed"
"""What becomes of a Service of which all endpoints are down: it goes on as the catalogue says, or is refused."""


def _out(target: Target) -> Target:
    return target._replace(endpoint=target.endpoint._replace(ready=False, serving=False))


def _usable(targets: list[Target], release: Release) -> list[Target]:
    """The ready targets; where there are none, those that still serve while they terminate (KEP-1669)."""
    ready = [target for target in targets if target.endpoint.ready]
    if ready or not release.terminating_fallback:
        return ready
    return [target for target in targets if target.endpoint.serving and target.endpoint.terminating]


def _near(usable: list[Target], node: str, zone: str) -> list[Target]:
    """``usable`` narrowed by hints: to this node's, else to this zone's, else not at all.

    Hints count only if every ready endpoint carries them and one names us, so that no node is left without.
    """
    ready = [target for target in usable if target.endpoint.ready]
    for key, hints_of in ((node, _node_hints), (zone, _zone_hints)):
        if ready and key and all(hints_of(target) for target in ready):
            near = [target for target in ready if key in hints_of(target)]
            if near:
                return near
    return usable


def _node_hints(target: Target) -> Sequence[str]:
    return target.endpoint.node_hints


def _zone_hints(target: Target) -> Sequence[str]:
    return target.endpoint.zone_hints


def _host_ports(host_ports: Iterable[HostPort], node: str, family: str) -> Iterator[HostPort]:
    for entry in host_ports:
        own = _of_family(entry.addresses, family)
        if entry.node == node and own and (not entry.host_ip or addresses.family_of(entry.host_ip) == family):
            yield entry._replace(addresses=own)


def _of_family(texts: Iterable[str], family: str) -> tuple[str, ...]:
    return tuple(text for text in texts if addresses.family_of(text) == family)


# --- the form of what goes into rules


def check_form(view: View) -> None:
    """Whether every value that ``view`` brings into a rule is of its form: a name, a number, an address, a network.

    None of these has a blank, a quote or the end of a line in it, so no text becomes an option or a rule of its own.
    Raises InputError, which names the field. Takes a few hundredths of the time that rendering takes.
    """
    try:
        targets: list[Target] = []
        for port in view.ports:
            # Most often they are the same, and there are more of them than of all else.
            targets += port.endpoints
            targets += port.cluster if port.cluster != port.endpoints else ()
            targets += port.local
        _TARGET[view.family](targets)
        _PORT[view.family](view.ports)
        _HOST_PORT(view.host_ports)
    except (FormError, LookupError, TypeError) as error:
        raise InputError([Fault("catalogue", 0, "", str(error), "is not of the form that a rule takes")]) from None


def _anything(_column: Sequence[object]) -> bool:
    return True


def _weights(column: Sequence[Endpoint]) -> bool:
    return _WEIGHT([endpoint.weight for endpoint in column])


_WEIGHT = optional(whole(0, MAX_WEIGHT), None)
_TARGET = {
    family: rows(
        Target,
        {
            "text": forms.TARGET[family],
            "address": forms.TARGET[family],
            "port": forms.port,
            "endpoint": _weights,
            "port_names": _anything,  # no part of a rule
        },
    )
    for family in addresses.FAMILIES
}
_PORT = {
    family: rows(
        PortView,
        {
            "display_name": matching(forms.SERVICE_PORT),
            "protocol": forms.among(("tcp", "udp", "sctp")),
            "cluster_ip": forms.ADDRESS[family],
            "port": forms.port,
            "node_port": whole(0, 65535),
            "external_ips": several(forms.ADDRESS[family]),
            "load_balancer_ips": several(forms.ADDRESS[family]),
            "source_ranges": several(forms.network),
            "affinity_seconds": whole(0, 86400),
            "external_local": forms.flag,
            "internal_local": forms.flag,
            "health_check_node_port": whole(0, 65535),
            "cluster": _anything,  # these three are looked at together
            "local": _anything,
            "has_endpoints": forms.flag,
            "endpoints": _anything,
            "annotations": _anything,  # whoever balances reads them, word by word
            "probe": _anything,  # no part of a rule
        },
    )
    for family in addresses.FAMILIES
}
_HOST_PORT = rows(
    HostPort,
    {
        "namespace": matching(forms.LABEL),
        "pod": matching(forms.SUBDOMAIN),
        "pod_id": matching(forms.POD_ID),
        "node": forms.text,  # compared
        "protocol": forms.among(("TCP", "UDP", "SCTP")),
        "host_ip": optional(forms.address),
        "host_port": forms.port,
        "addresses": several(forms.address),
        "port": forms.port,
    },
)
