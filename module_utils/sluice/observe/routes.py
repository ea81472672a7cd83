"""Which chains, maps or virtual servers lead packets of a service port to its endpoints; pure.

For drawings: where each address leads first, from which stage to which, and at which one an endpoint is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..backends.nftables import layout
from .iptables_rules import target_name
from .service_ports import IPTABLES, IPVS, LOCAL, NO_ENDPOINTS, SLUICE, ServicePort
from .services_iptables import OF_A_SERVICE, cascade, destination, dispatch
from .snapshot import Snapshot

CLUSTER_IP, EXTERNAL_IP, BALANCER_IP, NODE_PORT = "cluster IP", "external IP", "load balancer IP", "node port"
REJECT, DROP = "REJECT", "DROP"
"""Stages at which a way ends: a client is refused, or hears nothing."""

_LOCAL_PARTS = ("SVL", "XLB")
_INSIDE = (layout.INSIDE, layout.INSIDE_LOCAL)
_OUTSIDE = (layout.OUTSIDE, layout.OUTSIDE_LOCAL)
_FENCED = (layout.FENCED_OUTSIDE, layout.FENCED_OUTSIDE_LOCAL)
_SERVER, _LOCAL_SERVER = "virtual server", "virtual server, local"
_LIST, _LOCAL_LIST, _MAP = "list", "list, local", "map"


class Way(NamedTuple):
    """An address (``""``: any of the node's own) and port, of which kind they are, and the stage they lead to."""

    address: str
    port: int
    kind: str
    stage: str


class Route(NamedTuple):
    """``steps``: from stage to stage. ``chooses``: the stages that choose an endpoint: whether among local ones only.

    ``chains``: the chain of each endpoint, where it has one. ``scheduler``: of virtual servers.
    """

    ways: Sequence[Way] = ()
    steps: Sequence[tuple[str, str]] = ()
    chooses: Mapping[str, bool] = {}
    chains: Mapping[str, str] = {}
    scheduler: str = ""


_Key = tuple[str, str, str, str]
"""Of a service port: its source, address family, name and protocol."""


class Routes:
    """Those in a node's rules."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._schedulers = {(at.address, at.protocol, at.port): each.scheduler for at, each in snapshot.servers.items()}
        self._chains: dict[_Key, tuple[Mapping[str, Sequence[str]], dict[tuple[str, int], str]]] = {}
        for variant, tables in snapshot.iptables.items():
            source = f"{IPTABLES}-{variant.name}" if variant.name else IPTABLES
            nat = tables.rules.get("nat", {})
            for table, chain, rule in dispatch(tables):
                if table == "nat" and OF_A_SERVICE.match(rule.target):
                    key = source, variant.family, rule.name, rule.protocol
                    at = ("" if chain == "KUBE-NODEPORTS" else rule.address), rule.port
                    self._chains.setdefault(key, (nat, {}))[1].setdefault(at, rule.target)

    def of(self, port: ServicePort) -> Route:
        """That of a service port, which these rules have."""
        if port.source.startswith(IPTABLES):
            key = port.source, port.family, port.name, port.protocol
            return _of_chains(port, *self._chains.get(key, ({}, {})))
        if port.source == IPVS:
            found = _of_servers(port)
            at = port.cluster_ip or next((way.address for way in found.ways), ""), port.protocol
            numbers = (way.port for way in found.ways[:1])
            schedulers = (self._schedulers.get((*at, number), "") for number in numbers)
            return found._replace(scheduler=next(schedulers, ""))
        return _of_maps(port) if port.source == SLUICE else _of_map(port)


def _ways(port: ServicePort) -> Iterator[tuple[str, int, str, str]]:
    """Where clients come in: address, port, kind, and why they are sent away, ``""`` where they are not."""
    if port.cluster_ip:
        yield port.cluster_ip, port.port, CLUSTER_IP, port.inside
    for ips, kind in ((port.external_ips, EXTERNAL_IP), (port.load_balancer_ips, BALANCER_IP)):
        yield from ((ip, port.port, kind, port.outside) for ip in ips)
    if port.node_port:
        yield "", port.node_port, NODE_PORT, port.outside


def _refusal(why: str) -> str:
    return "" if not why else REJECT if why == NO_ENDPOINTS else DROP


def _of_chains(port: ServicePort, nat: Mapping[str, Sequence[str]], first: Mapping[tuple[str, int], str]) -> Route:
    ways = [
        Way(address, number, kind, first.get((address, number)) or _refusal(why) or REJECT)
        for address, number, kind, why in _ways(port)
    ]
    steps: dict[tuple[str, str], None] = {}
    chooses: dict[str, bool] = {}
    chains: dict[str, str] = {}
    left = list(dict.fromkeys(way.stage for way in ways if way.stage in nat))
    seen = set(left)
    while left:
        stage = left.pop(0)
        for end, _probability in cascade(nat.get(stage, ())):
            chooses[stage] = OF_A_SERVICE.match(stage)[1] in _LOCAL_PARTS  # type: ignore[index]
            to = destination(nat.get(end, ()))
            if to:
                chains.setdefault(to, end)
        for target in map(target_name, nat.get(stage, ())):
            if OF_A_SERVICE.match(target):
                steps[stage, target] = None
                if target not in seen:
                    seen.add(target)
                    left.append(target)
    return Route(ways, list(steps), chooses, chains)


def _of_servers(port: ServicePort) -> Route:
    """Each address has a virtual server of its own."""

    def stage(kind: str) -> str:
        policy = port.internal_policy if kind == CLUSTER_IP else port.external_policy
        return _LOCAL_SERVER if policy == LOCAL else _SERVER

    ways = [Way(address, number, kind, _refusal(why) or stage(kind)) for address, number, kind, why in _ways(port)]
    return Route(ways, (), _choosing(ways, (_SERVER, _LOCAL_SERVER)))


def _of_maps(port: ServicePort) -> Route:
    """Sluice's flat layout: an address leads to the chain of its kind, and that to a list of endpoints."""
    ways: list[Way] = []
    steps: dict[tuple[str, str], None] = {}
    for address, number, kind, why in _ways(port):
        is_inside = kind == CLUSTER_IP
        is_local = (port.internal_policy if is_inside else port.external_policy) == LOCAL
        is_fenced = bool(port.source_ranges) and not is_inside and kind != NODE_PORT
        name = layout.KINDS[(_INSIDE if is_inside else _FENCED if is_fenced else _OUTSIDE)[is_local]]
        ways.append(Way(address, number, kind, _refusal(why) or name))
        if not why:
            steps[name, _LOCAL_LIST if is_local else _LIST] = None
    return Route(ways, list(steps), {end: end == _LOCAL_LIST for _begin, end in steps})


def _of_map(port: ServicePort) -> Route:
    """kube-proxy's nftables: the last map of a service port's chain chooses."""
    ways = [Way(address, number, kind, _refusal(why) or _MAP) for address, number, kind, why in _ways(port)]
    return Route(ways, (), _choosing(ways, (_MAP,)))


def _choosing(ways: Sequence[Way], stages: Sequence[str]) -> dict[str, bool]:
    used = {way.stage for way in ways}
    return {stage: stage == _LOCAL_SERVER for stage in stages if stage in used}
