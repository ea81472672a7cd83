"""Services in IPVS: virtual servers have no names, but IP sets tell what their addresses are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..addresses import family_of
from ..backends.ipvs.ipset_text import IpSet
from ..backends.ipvs.text import VirtualAddress, VirtualServer
from .ipvs import shares
from .service_ports import CLUSTER, IPVS, LOCAL, Endpoint, Endpoints, ServicePort

_Servers = Mapping[VirtualAddress, VirtualServer]
_Sets = Mapping[str, IpSet]
_Key = tuple[str, str, int]


def ports(servers: _Servers, sets: _Sets) -> Iterator[ServicePort]:
    """The service ports of virtual servers.

    Other addresses join the one cluster IP that has the same endpoints (and the same port, where it is no node port);
    where more than one has, nobody can tell whose they are, and they stand for themselves.
    """
    kinds = Kinds(sets)
    inside: dict[VirtualAddress, ServicePort] = {}
    others: list[tuple[str, tuple[VirtualAddress, ...]]] = []
    at_nodes: dict[tuple[str, str, int], list[VirtualAddress]] = {}
    for at, server in servers.items():
        kind = kinds.of(at)
        if kind == NODE_PORT:
            at_nodes.setdefault((family_of(at.address), at.protocol, at.port), []).append(at)
        elif kind in (EXTERNAL, BALANCED):
            others.append((kind, (at,)))
        else:
            inside[at] = _with_endpoints(ServicePort(IPVS, "", at.protocol, at.address, at.port), server, local=False)
    others += [(NODE_PORT, tuple(found)) for found in at_nodes.values()]
    owners = _Owners(servers, inside)
    for kind, found in others:
        at = found[0]
        whose = owners.of(at, 0 if kind == NODE_PORT else at.port)
        blank = ServicePort(IPVS, "", at.protocol, port=0 if kind == NODE_PORT else at.port)
        port = _joined(inside[whose] if whose else blank, kind, found, servers, kinds)
        inside[whose or at] = port
    yield from inside.values()


class _Owners:
    """Which cluster IP's endpoints those of another address are. Of thousands most are the same, and found at once."""

    def __init__(self, servers: _Servers, inside: Iterable[VirtualAddress]) -> None:
        self._active = {at: _active(server) for at, server in servers.items()}
        self._by_port: dict[_Key, list[VirtualAddress]] = {}
        self._same: dict[tuple[_Key, frozenset[str]], list[VirtualAddress]] = {}
        for at in inside:
            for number in (at.port, 0):
                key = family_of(at.address), at.protocol, number
                self._by_port.setdefault(key, []).append(at)
                self._same.setdefault((key, self._active[at]), []).append(at)

    def of(self, at: VirtualAddress, port: int) -> VirtualAddress | None:
        """The one cluster IP (with that ``port``, if not 0) that has all of its endpoints, or some of them."""
        key, own = (family_of(at.address), at.protocol, port), self._active[at]
        near = self._same.get((key, own))
        if not near:
            near = [
                each for each in self._by_port.get(key, ()) if self._active[each] >= own or self._active[each] <= own
            ]
        return near[0] if len(near) == 1 else None


def _active(server: VirtualServer) -> frozenset[str]:
    """The real servers that get new connections: those that are drained leave one address sooner than another."""
    return frozenset(text for text, real in server.real.items() if real.weight)


def _joined(
    port: ServicePort, kind: str, found: tuple[VirtualAddress, ...], servers: _Servers, kinds: Kinds
) -> ServicePort:
    at = found[0]
    local = kinds.is_local(at)
    before = port.endpoints
    for each in found:
        port = _with_endpoints(port, servers[each], local=local)
    if port.cluster_ip and not local and 0 < len(before) < len(port.endpoints):
        # The cluster IP has some of the endpoints that all others have: those of this node.
        port = port._replace(internal_policy=LOCAL, local_endpoints=before)
    port = port._replace(external_policy=LOCAL if local else CLUSTER)
    if kind == NODE_PORT:
        return port._replace(node_port=at.port, node_addresses=tuple(sorted(each.address for each in found)))
    if kind == EXTERNAL:
        return port._replace(external_ips=(*port.external_ips, at.address))
    ranges = kinds.ranges(at)
    return port._replace(load_balancer_ips=(*port.load_balancer_ips, at.address), source_ranges=ranges)


def _with_endpoints(port: ServicePort, server: VirtualServer, *, local: bool) -> ServicePort:
    found = _endpoints(server)
    port = port._replace(
        entries=port.entries + 1 + len(found),
        affinity_seconds=port.affinity_seconds or server.persistent,
    )
    if local:
        return port._replace(local_endpoints=found)
    return port._replace(endpoints=found if len(found) >= len(port.endpoints) else port.endpoints)


def _endpoints(server: VirtualServer) -> Endpoints:
    share = dict(shares(server))
    return tuple(
        Endpoint(text, share[text], real.weight) for text, real in sorted(server.real.items()) if text in share
    )


CLUSTER_IP, EXTERNAL, BALANCED, NODE_PORT = "cluster IP", "external IP", "load balancer IP", "node port"


class Kinds:
    """What the addresses of virtual servers are, by kube-proxy's IP sets."""

    def __init__(self, sets: _Sets) -> None:
        self._sets = {name: frozenset(found.matching) for name, found in sets.items()}

    def _has(self, name: str, at: VirtualAddress, member: str) -> bool:
        prefix = "KUBE-6-" if ":" in at.address else "KUBE-"
        return member in self._sets.get(prefix + name, ())

    def of(self, at: VirtualAddress) -> str:
        """The kind of an address, ``""`` where it is in no set."""
        member = f"{at.address},{at.protocol}:{at.port}"
        for kind, names in _SETS.items():
            if any(self._has(name, at, member) for name in names):
                return kind
        on_node = self._has(f"NODE-PORT-{at.protocol.upper()}", at, str(at.port))
        return NODE_PORT if on_node or self._has("NODE-PORT-SCTP-HASH", at, member) else ""

    def is_local(self, at: VirtualAddress) -> bool:
        """Whether its traffic policy is Local."""
        member = f"{at.address},{at.protocol}:{at.port}"
        names = ("EXTERNAL-IP-LOCAL", "LOAD-BALANCER-LOCAL", "NODE-PORT-LOCAL-SCTP-HASH")
        on_node = self.of(at) == NODE_PORT and self._has(f"NODE-PORT-LOCAL-{at.protocol.upper()}", at, str(at.port))
        return on_node or any(self._has(name, at, member) for name in names)

    def ranges(self, at: VirtualAddress) -> tuple[str, ...]:
        """The networks that may enter a load balancer's address."""
        prefix = "KUBE-6-" if ":" in at.address else "KUBE-"
        head = f"{at.address},{at.protocol}:{at.port},"
        members = self._sets.get(f"{prefix}LOAD-BALANCER-SOURCE-CIDR", ())
        return tuple(sorted(each[len(head) :] for each in members if each.startswith(head)))


_SETS: Mapping[str, tuple[str, ...]] = {
    CLUSTER_IP: ("CLUSTER-IP",),
    BALANCED: ("LOAD-BALANCER",),
    EXTERNAL: ("EXTERNAL-IP", "EXTERNAL-IP-LOCAL"),
}
