"""What kube-proxy's IPVS mode programs: sets, virtual servers, addresses, and the few rules that go with them.

The number of rules does not grow with the catalogue: they match sets, and the sets name the Services. A rule that
matches an empty set is left out, as kube-proxy does. Everything is in the form in which the kernel's tools print it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ... import addresses
from ...balancing import FLAGS, Balancing
from ...settings import Settings
from ...view import PortView, Target, View
from ..iptables.common import (
    LOCAL_DESTINATION,
    OFF_MACHINE,
    Context,
    Entry,
    collected,
    dropping,
    forwarding,
    host_port_rules,
    localnet,
    masquerading,
    skeleton,
    untracked,
)
from ..iptables.text import RuleSet, comment
from ..shared import balancing_of, has_host_ports_on_loopback, node_may_enter, serves_localhost
from .dialect import BITMAP, COMMENTS, DIALECTS, DROP_CHAIN, DROP_JUMP, GUARD_JUMP, GUARD_SETS, NODE_PORTS, IpvsDialect
from .ipset_text import Sets, ip_set
from .tables import Tables, set_name
from .text import RealServer, Servers, VirtualAddress, VirtualServer

_SET_FAMILY = {addresses.IPV4: "inet", addresses.IPV6: "inet6"}
_HALVES = {
    addresses.ANY[addresses.IPV4]: ("0.0.0.0/1", "128.0.0.0/1"),
    addresses.ANY[addresses.IPV6]: ("::/1", "8000::/1"),
}
_PROTOCOL_NUMBER = {"tcp": 6, "udp": 17, "sctp": 132}


class IpvsState(NamedTuple):
    """Everything that Sluice wants in the kernel for one view."""

    rules: RuleSet
    tables: Tables


Member = tuple[str, str]
"""(set, member); the set as in ``dialect``."""


def state(view: View, settings: Settings, *, guard: bool = False) -> IpvsState:
    """What the node that ``settings`` describe wants in the kernel for ``view``.

    ``guard``: host daemons are out of reach through Service addresses in every dialect, not only since 1.36.
    """
    context = Context(view, settings)
    dialect = _guarded(DIALECTS[settings.compat]) if guard else DIALECTS[settings.compat]
    if opens_localnet(view, settings):
        dialect = _dropping(dialect)
    node_addresses = _node_addresses(settings, view.family)
    node_ips = _node_port_addresses(settings, view.family, node_addresses, dialect)
    served = dict.fromkeys(
        ip for port in view.ports for ip in (port.cluster_ip, *port.external_ips, *port.load_balancer_ips)
    )
    # The node's daemons stay reachable at addresses of its own, bound or not (kubernetes#117613).
    foreign = [ip for ip in served if ip not in node_addresses]
    members: dict[str, list[str]] = {name: [] for name in dialect.sets}
    servers: Servers = {}
    for port in view.ports:
        for name, member in _members(port, node_ips, context):
            if name in members:
                members[name].append(member)
        servers.update(_servers(port, node_ips, context, dialect))
    if "IPVS-IPS" in members:
        members["IPVS-IPS"] = foreign
    filled = frozenset(name for name, held in members.items() if held)
    return IpvsState(
        rules=_rules(view, context, dialect, filled),
        tables=Tables(
            sets=_sets(members, dialect, view.family),
            servers=servers,
            addresses=tuple(map(addresses.host_network, served if dialect.binds_own else foreign)),
        ),
    )


def _guarded(dialect: IpvsDialect) -> IpvsDialect:
    if dialect.guard:
        return dialect
    chains = {**dialect.chains, "filter": (*dialect.chains["filter"], "KUBE-IPVS-FILTER")}
    sets = {**dialect.sets, **GUARD_SETS}
    return dialect._replace(guard=True, sets=sets, chains=chains, jumps=(GUARD_JUMP, *dialect.jumps))


def _dropping(dialect: IpvsDialect) -> IpvsDialect:
    """With the chain that drops what route_localnet would let in."""
    if DROP_CHAIN in dialect.chains["filter"]:
        return dialect
    chains = {**dialect.chains, "filter": (*dialect.chains["filter"], DROP_CHAIN)}
    return dialect._replace(chains=chains, jumps=(DROP_JUMP, *dialect.jumps))


def _node_addresses(settings: Settings, family: str) -> frozenset[str]:
    return frozenset(ip for ip in settings.node_addresses if addresses.family_of(ip) == family)


def _node_port_addresses(settings: Settings, family: str, own: frozenset[str], dialect: IpvsDialect) -> tuple[str, ...]:
    """The node's addresses that serve node ports, each of which takes a virtual server of its own.

    Link-local addresses of IPv6 do not: they mean nothing without an interface.
    """
    networks = [ipaddress.ip_network(net) for net in settings.nodeport_networks(family)]
    found = []
    for text in dict.fromkeys(settings.node_addresses):
        ip = ipaddress.ip_address(text)
        if text in own and any(ip in net for net in networks):
            if (ip.is_loopback and not dialect.loopback_node_ports) or (ip.version == 6 and ip.is_link_local):
                continue
            found.append(text)
    return tuple(found)


# --- sets


def _sets(members: dict[str, list[str]], dialect: IpvsDialect, family: str) -> Sets:
    found: Sets = {}
    for name, kind in dialect.sets.items():
        scope = "range 0-65535" if kind == BITMAP else f"family {_SET_FAMILY[family]}"
        found[set_name(name, family)] = ip_set(f"{kind} {scope}", members[name])
    return found


def _members(port: PortView, node_ips: Sequence[str], context: Context) -> Iterator[Member]:
    """What one service port puts into the sets."""
    for target in port.endpoints:
        if target.endpoint.node == context.settings.node_name:
            to_endpoint = _pair(target.address, port.protocol, target.port)
            yield "LOOP-BACK", f"{to_endpoint},{target.address}"

    yield "CLUSTER-IP", _pair(port.cluster_ip, port.protocol, port.port)
    for ip in port.external_ips:
        yield "EXTERNAL-IP-LOCAL" if port.external_local else "EXTERNAL-IP", _pair(ip, port.protocol, port.port)
    for ip in port.load_balancer_ips:
        vip = _pair(ip, port.protocol, port.port)
        yield "LOAD-BALANCER", vip
        if port.external_local:
            yield "LOAD-BALANCER-LOCAL", vip
        if port.source_ranges:
            yield "LOAD-BALANCER-FW", vip
            for source in port.source_ranges:
                # A set of networks cannot hold the network of all addresses, only its halves.
                for net in _HALVES.get(source, (source,)):
                    yield "LOAD-BALANCER-SOURCE-CIDR", f"{vip},{_without_host_prefix(net)}"
            if node_may_enter(port, context.settings, context.family):
                yield "LOAD-BALANCER-SOURCE-IP", f"{vip},{ip}"

    if port.node_port and not node_ips:
        return
    if port.node_port:
        every, local = NODE_PORTS[port.protocol]
        held = [str(port.node_port)]
        if port.protocol == "sctp":
            held = [_pair(ip, port.protocol, port.node_port) for ip in node_ips]
        for member in held:
            yield every, member
            if port.external_local:
                yield local, member
    if port.health_check_node_port:
        yield "HEALTH-CHECK-NODE-PORT", str(port.health_check_node_port)


def _pair(ip: str, protocol: str, port: int) -> str:
    return f"{ip},{protocol}:{port}"


def _without_host_prefix(net: str) -> str:
    address = net.partition("/")[0]
    return address if net == addresses.host_network(address) else net


# --- virtual servers


def _servers(
    port: PortView, node_ips: Sequence[str], context: Context, dialect: IpvsDialect
) -> Iterator[tuple[VirtualAddress, VirtualServer]]:
    """The virtual servers of one service port, even without endpoints."""
    how = balancing_of(port, context.settings.ipvs_scheduler)
    inside = _virtual(port, how, port.internal_local, dialect)
    outside = inside
    if port.external and port.external_local != port.internal_local:
        outside = _virtual(port, how, port.external_local, dialect)

    yield VirtualAddress(port.protocol, port.cluster_ip, port.port), inside
    for ip in port.external_ips + port.load_balancer_ips:
        yield VirtualAddress(port.protocol, ip, port.port), outside
    if port.node_port:
        for ip in node_ips:
            yield VirtualAddress(port.protocol, ip, port.node_port), outside


def _virtual(port: PortView, how: Balancing, local: bool, dialect: IpvsDialect) -> VirtualServer:
    flags = how.flags
    if flags is None:
        flags = FLAGS["mh"][1:] if how.scheduler == "mh" and dialect.mh_port else ()
    real = {
        target.text: RealServer(how.weight_of(target.address, target.endpoint.weight))
        for target in _targets(port, local, dialect)
    }
    return VirtualServer(how.scheduler, port.affinity_seconds, flags, real)


def _targets(port: PortView, local: bool, dialect: IpvsDialect) -> Sequence[Target]:
    if not local or (not port.local and dialect.local_fallback):
        return port.cluster
    return port.local


# --- rules


def _rules(view: View, context: Context, dialect: IpvsDialect, filled: frozenset[str]) -> RuleSet:
    return collected(
        skeleton(dialect.chains, dialect.jumps),
        _matches(context, dialect, filled),
        dialect.endings,
        _guard(context, dialect),
        _node_blocked(view, context, dialect),
        masquerading(context),
        forwarding(context),
        dropping(DROP_CHAIN) if context.release.drop_mark else (),
        localnet(DROP_CHAIN) if opens_localnet(view, context.settings) else (),
        untracked(context.settings),
        host_port_rules(view),
    )


def _matches(context: Context, dialect: IpvsDialect, filled: frozenset[str]) -> Iterator[Entry]:
    """The rules for what is in the sets, up to the way to the node ports and the final ACCEPT of KUBE-SERVICES."""
    family = context.family
    if dialect.loopback_returns:
        yield "nat", "KUBE-SERVICES", f"-s {addresses.LOOPBACK[family]} -j RETURN"
    for rule in dialect.set_rules:
        if rule.set_name in filled:
            protocol = f"-p {rule.protocol} " if rule.protocol else ""
            match = _in_set(rule.set_name, rule.directions, family)
            yield rule.table, rule.chain, f"{protocol}{comment(COMMENTS[rule.set_name])} {match} -j {rule.target}"
    for name in ("CLUSTER-IP", "EXTERNAL-IP", "EXTERNAL-IP-LOCAL"):
        if name in filled:
            about = comment(COMMENTS[name])
            yield from _masquerade(context, about) if name == "CLUSTER-IP" else _external(name, about, family)
    yield "nat", "KUBE-SERVICES", f"{LOCAL_DESTINATION} -j KUBE-NODE-PORT"
    # What other rules of nat do with a packet for a virtual server would keep it from there.
    for name in ("CLUSTER-IP", "LOAD-BALANCER"):
        if name in filled:
            yield "nat", "KUBE-SERVICES", f"{_in_set(name, 'dst,dst', family)} -j ACCEPT"


def _masquerade(context: Context, about: str) -> Iterator[Entry]:
    """What reaches a ClusterIP from outside is masqueraded, so that the answers come back through this node.

    Where no cluster CIDR says what outside is, that is what the node itself sends from a ClusterIP, which the kernel
    chooses as source when it talks to one.
    """
    to_cluster_ip = f"{about} {_in_set('CLUSTER-IP', 'dst,dst', context.family)}"
    from_cluster_ip = f"{about} {_in_set('CLUSTER-IP', 'src,dst', context.family)}"
    if context.settings.masquerade_all:
        yield "nat", "KUBE-SERVICES", f"{to_cluster_ip} -j KUBE-MARK-MASQ"
    elif context.cluster_cidr:
        yield "nat", "KUBE-SERVICES", f"! -s {context.cluster_cidr} {to_cluster_ip} -j KUBE-MARK-MASQ"
    else:
        yield "nat", "KUBE-SERVICES", f"{from_cluster_ip} -j KUBE-MARK-MASQ"


def _external(name: str, about: str, family: str) -> Iterator[Entry]:
    to_external_ip = f"{about} {_in_set(name, 'dst,dst', family)}"
    if name == "EXTERNAL-IP":
        yield "nat", "KUBE-SERVICES", f"{to_external_ip} -j KUBE-MARK-MASQ"
    yield "nat", "KUBE-SERVICES", f"{to_external_ip} {OFF_MACHINE} -j ACCEPT"
    # Besides, what the node sends to an address of its own.
    yield "nat", "KUBE-SERVICES", f"{to_external_ip} {LOCAL_DESTINATION} -j ACCEPT"


def _guard(context: Context, dialect: IpvsDialect) -> Iterator[Entry]:
    """Addresses of Services answer on the ports of Services and on no others, health checks apart."""
    if not dialect.guard:
        return
    for name in ("LOAD-BALANCER", "CLUSTER-IP", "EXTERNAL-IP", "EXTERNAL-IP-LOCAL"):
        yield "filter", "KUBE-IPVS-FILTER", f"{_in_set(name, 'dst,dst', context.family)} -j RETURN"
    health_check = _in_set("HEALTH-CHECK-NODE-PORT", "dst", context.family)
    yield "filter", "KUBE-IPVS-FILTER", f"{health_check} -j RETURN"
    others = f"-m conntrack --ctstate NEW {_in_set('IPVS-IPS', 'dst', context.family)}"
    yield "filter", "KUBE-IPVS-FILTER", f"{others} -j {context.reject()}"
    if "KUBE-NODE-PORT" in dialect.chains["filter"]:
        yield "filter", "KUBE-NODE-PORT", f"{comment(COMMENTS['HEALTH-CHECK-NODE-PORT'])} {health_check} -j ACCEPT"


def _node_blocked(view: View, context: Context, dialect: IpvsDialect) -> Iterator[Entry]:
    """A node that talks to a VIP of its own sends from that VIP, and source ranges do not list that address."""
    if not dialect.node_blocked:
        return
    for port in view.ports:
        if port.source_ranges and not node_may_enter(port, context.settings, context.family):
            for ip in port.load_balancer_ips:
                server = f"--vproto {_PROTOCOL_NUMBER[port.protocol]} --vaddr {ip} --vport {port.port}"
                from_vip = f"-s {addresses.host_network(ip)} -m ipvs {server}"
                yield "filter", "KUBE-IPVS-OUT-FILTER", f"{from_vip} -j DROP"


def opens_localnet(view: View, settings: Settings) -> bool:
    """Whether node ports or host ports answer on 127.0.0.0/8, for which packets have to be let out of loopback."""
    node_ports = DIALECTS[settings.compat].loopback_node_ports and serves_localhost(settings)
    return view.family == addresses.IPV4 and (node_ports or has_host_ports_on_loopback(view))


def schedulers(view: View, settings: Settings) -> set[str]:
    """The schedulers that the virtual servers of ``view`` use, and the node's default."""
    named = (balancing_of(port, settings.ipvs_scheduler).scheduler for port in view.ports)
    return {settings.ipvs_scheduler, *named}


def _in_set(name: str, directions: str, family: str) -> str:
    return f"-m set --match-set {set_name(name, family)} {directions}"
