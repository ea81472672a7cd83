"""Oddities of IPVS' virtual servers among each other, and of kube-proxy's IP sets that have to fit them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from .. import addresses
from ..backends.ipvs.ipset_text import IpSet
from ..backends.ipvs.text import NAT, VirtualAddress, VirtualServer
from .oddity import Oddity, few
from .service_ports import CLUSTER, IPVS, LOCAL, ServicePort
from .services_ipvs import NODE_PORT, Kinds
from .snapshot import Snapshot

_ANEW = "have the proxy write all of it anew (sluice apply, or restart kube-proxy)"
_LENGTH = 31
_TYPES = {
    **dict.fromkeys(("CLUSTER-IP", "EXTERNAL-IP", "EXTERNAL-IP-LOCAL", "LOAD-BALANCER"), "hash:ip,port"),
    **dict.fromkeys(("LOAD-BALANCER-FW", "LOAD-BALANCER-LOCAL"), "hash:ip,port"),
    **dict.fromkeys(("LOOP-BACK", "LOAD-BALANCER-SOURCE-IP"), "hash:ip,port,ip"),
    "LOAD-BALANCER-SOURCE-CIDR": "hash:ip,port,net",
    **{f"NODE-PORT-{local}{name}": "bitmap:port" for local in ("", "LOCAL-") for name in ("TCP", "UDP")},
    **{f"NODE-PORT-{local}SCTP-HASH": "hash:ip,port" for local in ("", "LOCAL-")},
    "HEALTH-CHECK-NODE-PORT": "bitmap:port",
    "IPVS-IPS": "hash:ip",
}


def found(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """Those of a node; what was not dumped is not missed."""
    kinds = Kinds(snapshot.sets)
    for family, start in ((addresses.IPV4, "KUBE-"), (addresses.IPV6, "KUBE-6-")):
        held = {name: snapshot.sets.get(f"{start}{name}"[:_LENGTH]) for name in _TYPES}
        if held["CLUSTER-IP"] is None:
            continue
        sets = _Sets({name: found for name, found in held.items() if found is not None})
        servers = {at: of for at, of in snapshot.servers.items() if addresses.family_of(at.address) == family}
        yield from _types(sets, start)
        yield from _fences(sets)
        yield from _policies(sets)
        if servers:
            yield from _node_ports(sets, servers)
            yield from _bound(sets, servers, kinds)
            yield from _hairpins(sets, servers, kinds)
    yield from _methods(snapshot.servers, kinds)
    own = [port for port in ports if port.source == IPVS]
    yield from _on_nodes(own)
    for port in own:
        yield from _alike(port, snapshot.servers)
        yield from _one_policy(port, snapshot.servers, kinds)


class _Sets:
    """kube-proxy's sets of one address family, by their names without what all begin with."""

    def __init__(self, held: Mapping[str, IpSet]) -> None:
        self.held = held
        self._members = {name: frozenset(found.matching) for name, found in held.items()}

    def of(self, name: str) -> frozenset[str]:
        return self._members.get(name, frozenset())


def _told(what: str, places: Collection[str], effect: str, *, hurts: bool = True) -> Iterator[Oddity]:
    if places:
        yield Oddity(what, f"ipset: {few(sorted(places))}", effect, _ANEW, hurts)


def _types(sets: _Sets, start: str) -> Iterator[Oddity]:
    wrong = [
        f"{start}{name} is {found.header.partition(' ')[0]} instead of {_TYPES[name]}"
        for name, found in sets.held.items()
        if found.header.partition(" ")[0] != _TYPES[name]
    ]
    yield from _told("IP set of the wrong type", wrong, "the rules that ask for it match other packets, or none")


def _fences(sets: _Sets) -> Iterator[Oddity]:
    fenced = sets.of("LOAD-BALANCER-FW")
    let_in = {
        ",".join(member.split(",")[:2])
        for name in ("LOAD-BALANCER-SOURCE-CIDR", "LOAD-BALANCER-SOURCE-IP")
        for member in sets.of(name)
    }
    if "LOAD-BALANCER-FW" in sets.held:
        effect = "loadBalancerSourceRanges keep nobody out"
        yield from _told("fence of an address that is in no KUBE-LOAD-BALANCER-FW", let_in - fenced, effect)
    yield from _told("fence that lets nobody in", fenced - let_in, "all clients of that address are dropped")
    effect = "its packets are let past the fence, or are not masqueraded"
    yield from _told("fenced address that is in no KUBE-LOAD-BALANCER", fenced - sets.of("LOAD-BALANCER"), effect)


def _policies(sets: _Sets) -> Iterator[Oddity]:
    gone = set(sets.of("LOAD-BALANCER-LOCAL") - sets.of("LOAD-BALANCER"))
    for name in ("TCP", "UDP", "SCTP-HASH"):
        missing = sets.of(f"NODE-PORT-LOCAL-{name}") - sets.of(f"NODE-PORT-{name}")
        gone |= {f"{member} of NODE-PORT-LOCAL-{name}" for member in missing}
    effect = "its packets do not meet the rules that it has to meet"
    yield from _told("address of policy Local that is in no set of all addresses", gone, effect, hurts=False)


def _node_ports(sets: _Sets, servers: Mapping[VirtualAddress, VirtualServer]) -> Iterator[Oddity]:
    served = {(at.protocol, str(at.port)) for at in servers}
    idle = [
        f"{protocol} node port {member}"
        for protocol, name in (("tcp", "TCP"), ("udp", "UDP"))
        for member in sets.of(f"NODE-PORT-{name}")
        if (protocol, member) not in served
    ]
    yield from _told("node port in an IP set without a virtual server", idle, "nobody answers there")


def _bound(sets: _Sets, servers: Mapping[VirtualAddress, VirtualServer], kinds: Kinds) -> Iterator[Oddity]:
    if "IPVS-IPS" not in sets.held:
        return
    own = {at.address for at in servers if kinds.of(at) not in ("", NODE_PORT)}
    effect = "every port of it reaches the node's own programs"
    yield from _told(
        "address of a Service that is not in KUBE-IPVS-IPS", own - sets.of("IPVS-IPS"), effect, hurts=False
    )
    effect = "new connections to it that no set lets in are refused, whoever they are for"
    yield from _told("address in KUBE-IPVS-IPS without a virtual server", sets.of("IPVS-IPS") - own, effect)


def _hairpins(sets: _Sets, servers: Mapping[VirtualAddress, VirtualServer], kinds: Kinds) -> Iterator[Oddity]:
    """Endpoints of this node: those that addresses of policy Local send to."""
    loops = sets.of("LOOP-BACK")
    missing = set()
    for at, server in servers.items():
        if kinds.is_local(at):
            for text in server.real:
                address, port = addresses.split_port(text)
                if f"{address},{at.protocol}:{port},{address}" not in loops:
                    missing.add(f"{text} of {addresses.host_port(at.address, at.port)}")
    effect = "an endpoint that calls its own Service and is sent to itself gets no answer"
    yield from _told("endpoint of this node that is not in KUBE-LOOP-BACK", missing, effect)
    ends = {(*addresses.split_port(text), at.protocol) for at, server in servers.items() for text in server.real}
    stale, strange = set(), set()
    for member in loops:
        address, protocol, port, source = _parted(member)
        if source != address:
            strange.add(member)
        elif (address, port, protocol) not in ends:
            stale.add(member)
    yield from _told("hairpin of two addresses in KUBE-LOOP-BACK", strange, effect)
    effect = "no virtual server sends there: an endpoint is missing, or was removed and left this"
    yield from _told("endpoint in KUBE-LOOP-BACK that is no real server", stale, effect, hurts=False)


def _parted(member: str) -> tuple[str, str, int, str]:
    """``10.244.1.10,tcp:8080,10.244.1.10``: address, protocol, port, source."""
    address, ports, source = (*member.split(","), "", "")[:3]
    protocol, _colon, port = ports.partition(":")
    return address, protocol, int(port) if port.isdigit() else 0, source


def _methods(servers: Mapping[VirtualAddress, VirtualServer], kinds: Kinds) -> Iterator[Oddity]:
    wrong = [
        f"{_text(at)} to {text} ({real.method})"
        for at, server in servers.items()
        for text, real in server.real.items()
        if real.method != NAT and kinds.of(at)
    ]
    if wrong:
        effect = "the endpoint gets packets for the Service's own address and port, and answers none of them"
        what = "real server that is not reached by NAT"
        yield Oddity(what, f"{IPVS}: {few(wrong)}", effect, _ANEW, True)


def _alike(port: ServicePort, servers: Mapping[VirtualAddress, VirtualServer]) -> Iterator[Oddity]:
    """The addresses of one Service balance in the same way, and to the same endpoints where no policy says else."""
    outer = _outer(port)
    inner = [VirtualAddress(port.protocol, port.cluster_ip, port.port)] if port.cluster_ip else []
    own = [at for at in (*inner, *outer) if at in servers]
    if len({servers[at].options for at in own}) > 1:
        places = [f"{_text(at)} {servers[at].options}" for at in own]
        effect = "a client's share, or the endpoint it stays with, depends on the address that it asks"
        yield Oddity(
            "addresses of one Service that balance differently", f"{IPVS}: {few(places)}", effect, _ANEW, False
        )
    compared = own if port.internal_policy != LOCAL and port.external_policy == CLUSTER else outer
    ends = {at: frozenset(servers[at].real) for at in compared if at in servers and servers[at].real}
    most = max(ends.values(), key=len, default=frozenset())
    short = [f"{_text(at)} has {len(each)} of {len(most)}" for at, each in ends.items() if each < most]
    if short:
        effect = "an endpoint gets no connections by that address"
        yield Oddity("address of a Service that lacks endpoints", f"{IPVS}: {few(short)}", effect, _ANEW, True)


def _outer(port: ServicePort) -> list[VirtualAddress]:
    found = [VirtualAddress(port.protocol, ip, port.port) for ip in (*port.external_ips, *port.load_balancer_ips)]
    return found + [VirtualAddress(port.protocol, ip, port.node_port) for ip in port.node_addresses]


def _one_policy(port: ServicePort, servers: Mapping[VirtualAddress, VirtualServer], kinds: Kinds) -> Iterator[Oddity]:
    """A Service has one policy for all of its addresses that are for clients outside."""
    own = [at for at in _outer(port) if at in servers]
    bound = [_text(at) for at in own if kinds.is_local(at)]
    if bound and len(bound) < len(own):
        free = [_text(at) for at in own if not kinds.is_local(at)]
        effect = "clients of some of its addresses are masqueraded, and those of others are not"
        place = f"ipset: Local is {few(bound)}, not {few(free)}"
        yield Oddity("addresses of one Service with two traffic policies", place, effect, _ANEW, True)


def _on_nodes(ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """Node ports are at the same addresses of the node, whichever Service they are of."""
    for family in addresses.FAMILIES:
        own = [port for port in ports if port.node_port and port.family == family]
        every = {address for port in own for address in port.node_addresses}
        short = [
            f"{port.node_port}/{port.protocol} not at {few(sorted(every - {*port.node_addresses}))}"
            for port in own
            if every - {*port.node_addresses}
        ]
        if short:
            effect = "the node port does not answer at that address of the node"
            what = "node port that is not at all addresses that others are at"
            yield Oddity(what, f"{IPVS}: {few(short)}", effect, _ANEW, True)


def _text(at: VirtualAddress) -> str:
    return f"{at.protocol} {addresses.host_port(at.address, at.port)}"
