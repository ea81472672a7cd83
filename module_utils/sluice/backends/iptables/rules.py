"""The rule set of kube-proxy's iptables mode, a function a kind of chain.

Rules are written as iptables-save prints them, so that what the kernel holds can be compared as text. Each function
reads as a table: which packet, what happens to it. What differs between releases is in ``dialect``; the two ways in
which they cut a service port into chains (``split`` and ``xlb``) are the two functions at the heart of this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Callable

from ... import addresses, names
from ...catalogue.model import HostPort
from ...settings import Settings
from ...view import LARGE_CLUSTER, PortView, Target, View
from .dialect import DIALECTS, HOST_PORT_JUMPS, Dialect, Jump
from .text import TABLES, RuleSet

OWNER_CHAIN = "SLUICE-OWNER"
"""An empty chain in each table that says whose the KUBE-* chains there are: a kube-proxy's have none beside them."""

Entry = tuple[str, str, str]
"""(table, chain, rule); an empty rule only makes the chain."""

LOCAL_DESTINATION = "-m addrtype --dst-type LOCAL"
LOCAL_SOURCE = "-m addrtype --src-type LOCAL"
LAST_RULE = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
DROP_MARK = "0x8000/0x8000"

_REJECT = {
    addresses.IPV4: "REJECT --reject-with icmp-port-unreachable",
    addresses.IPV6: "REJECT --reject-with icmp6-port-unreachable",
}
_RECENT_MASK = {
    addresses.IPV4: "255.255.255.255",
    addresses.IPV6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
}


class Context:
    """What every rule of one view depends on: the dialect, the node's settings, the family, whether to comment."""

    def __init__(self, view: View, settings: Settings) -> None:
        self.dialect: Dialect = DIALECTS[settings.compat]
        self.settings = settings
        self.family = view.family
        self.mark = f"{1 << settings.masquerade_bit:#x}"
        self.cluster_cidr = settings.cluster_cidr(view.family)
        large = view.endpoint_count > LARGE_CLUSTER
        self.endpoint_comments = settings.endpoint_comments == "always" or (
            settings.endpoint_comments == "auto" and not large
        )

    def reject(self) -> str:
        return _REJECT[self.family]


def rule_set(view: View, settings: Settings) -> RuleSet:
    """Everything that Sluice wants in the kernel for ``view``: all its chains, and its jumps from built-in chains."""
    context = Context(view, settings)
    return collected(
        skeleton(context.dialect.chains, context.dialect.jumps),
        _constant_rules(context),
        *(_service_port(port, context) for port in view.ports),
        _node_ports_tail(context),
        host_port_rules(view.host_ports),
    )


def collected(*parts: Iterable[Entry]) -> RuleSet:
    """All entries of ``parts`` in their order, by table and chain."""
    rules: RuleSet = {table: {} for table in TABLES}
    for entries in parts:
        for table, chain, rule in entries:
            found = rules[table].setdefault(chain, [])
            if rule:
                found.append(rule)
    return rules


# --- what there is without any Service


def skeleton(always: Mapping[str, Sequence[str]], jumps: Iterable[Jump]) -> Iterator[Entry]:
    """The chains that there always are, and what leads to them from built-in chains."""
    for table in TABLES:
        yield table, OWNER_CHAIN, ""
    for table, chains in always.items():
        for chain in chains:
            yield table, chain, ""
    for jump in jumps:
        yield jump.table, jump.chain, jump.rule


def _constant_rules(context: Context) -> Iterator[Entry]:
    dialect, settings = context.dialect, context.settings
    yield from masquerading(context)
    if not (dialect.policies == "split" and settings.conntrack_tcp_be_liberal):
        # A packet that conntrack does not know would leave with the endpoint's address and reset the connection.
        yield "filter", "KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP"
    yield from forwarding(context)
    if "KUBE-MARK-DROP" in dialect.chains["nat"]:
        yield from dropping()
    if context.family == addresses.IPV4 and serves_localhost(settings):
        yield from localnet()


def masquerading(context: Context) -> Iterator[Entry]:
    """What is marked on its way in leaves with the node's own address."""
    mark = context.mark
    yield "nat", "KUBE-MARK-MASQ", f"-j MARK --set-xmark {mark}/{mark}"
    yield "nat", "KUBE-POSTROUTING", f"-m mark ! --mark {mark}/{mark} -j RETURN"
    # Clears the mark, so that a packet that is routed twice (a tunnel) is not masqueraded twice.
    yield "nat", "KUBE-POSTROUTING", f"-j MARK --set-xmark {mark}/0x0"
    yield (
        "nat",
        "KUBE-POSTROUTING",
        f"{_comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully",
    )


def forwarding(context: Context) -> Iterator[Entry]:
    """What was sent on to an endpoint may pass, also where the policy of FORWARD is DROP."""
    forwarded = f"{_comment('kubernetes forwarding rules')} -m mark --mark {context.mark}/{context.mark}"
    yield "filter", "KUBE-FORWARD", f"{forwarded} -j ACCEPT"
    for text in context.dialect.forward_comments:
        yield "filter", "KUBE-FORWARD", f"{_comment(text)} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def dropping(chain: str = "KUBE-FIREWALL") -> Iterator[Entry]:
    """Up to 1.23. In a cluster both are the kubelet's; here nobody else would drop what the firewall chains mark."""
    marked = f"{_comment('kubernetes firewall for dropping marked packets')} -m mark --mark {DROP_MARK}"
    yield "nat", "KUBE-MARK-DROP", f"-j MARK --set-xmark {DROP_MARK}"
    yield "filter", chain, f"{marked} -j DROP"


def localnet(chain: str = "KUBE-FIREWALL") -> Iterator[Entry]:
    """route_localnet opens 127.0.0.0/8 to neighbours (CVE-2020-8558); node ports on localhost need it."""
    loopback = addresses.LOOPBACK[addresses.IPV4]
    incoming = f"! -s {loopback} -d {loopback} {_comment('block incoming localnet connections')}"
    yield "filter", chain, f"{incoming} -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"


def serves_localhost(settings: Settings) -> bool:
    """Whether node ports answer on 127.0.0.1, which takes the sysctl route_localnet."""
    if DIALECTS[settings.compat].policies == "xlb":
        return True
    networks = settings.nodeport_networks(addresses.IPV4)
    return settings.localhost_nodeports and any(
        addresses.is_loopback(net.partition("/")[0]) or addresses.contains(net, "127.0.0.0") for net in networks
    )


def _node_ports_tail(context: Context) -> Iterator[Entry]:
    """KUBE-SERVICES ends with the way to the node ports: of all local addresses, or of those that are named."""
    settings, family = context.settings, context.family
    split = context.dialect.policies == "split"
    networks = settings.nodeport_networks(family)
    comment = _comment(LAST_RULE)
    if addresses.ANY[family] in networks:
        not_loopback = ""
        if split and (family == addresses.IPV6 or not settings.localhost_nodeports):
            not_loopback = f"! -d {addresses.LOOPBACK[family]} "
        yield "nat", "KUBE-SERVICES", f"{not_loopback}{comment} {LOCAL_DESTINATION} -j KUBE-NODEPORTS"
        return
    for address in dict.fromkeys(settings.node_addresses):
        if not any(addresses.contains(net, address) for net in networks):
            continue
        loopback_works = family == addresses.IPV4 and settings.localhost_nodeports
        if split and addresses.is_loopback(address) and not loopback_works:
            continue
        yield "nat", "KUBE-SERVICES", f"-d {addresses.host_network(address)} {comment} -j KUBE-NODEPORTS"


# --- one service port


def _service_port(port: PortView, context: Context) -> Iterator[Entry]:
    if context.dialect.policies == "split":
        yield from _split_dispatch(port, context)
        if port.has_endpoints:
            yield from _split_chains(port, context)
    else:
        yield from _xlb_dispatch(port, context)
        yield from _xlb_chains(port, context)


def _split_dispatch(port: PortView, context: Context) -> Iterator[Entry]:
    """Since 1.24: where a packet for one of the port's addresses goes, and what refuses it where nothing answers."""
    name, protocol = port.display_name, port.protocol
    ext, firewall = _chain("KUBE-EXT-", port), _chain("KUBE-FW-", port)
    to_vip = firewall if _has_firewall(port) else ext
    inside = port.has_endpoints and not (port.internal_local and not port.local)
    outside = port.has_endpoints and not (port.external_local and not port.local)
    if port.has_endpoints:
        refusal, why = "DROP", _comment(f"{name} has no local endpoints")
    else:
        refusal, why = context.reject(), _comment(f"{name} has no endpoints")

    to_cluster_ip = _to(port.cluster_ip, protocol, port.port)
    if inside:
        yield "nat", "KUBE-SERVICES", f"{to_cluster_ip(_comment(f'{name} cluster IP'))} -j {_internal_chain(port)}"
    else:
        yield "filter", "KUBE-SERVICES", f"{to_cluster_ip(why)} -j {refusal}"

    for kind, ips, chain in (
        ("external IP", port.external_ips, ext),
        ("loadbalancer IP", port.load_balancer_ips, to_vip),
    ):
        for ip in ips:
            to_ip = _to(ip, protocol, port.port)
            if port.has_endpoints:
                yield "nat", "KUBE-SERVICES", f"{to_ip(_comment(f'{name} {kind}'))} -j {chain}"
            if not outside:
                yield "filter", "KUBE-EXTERNAL-SERVICES", f"{to_ip(why)} -j {refusal}"
            if chain == firewall:
                refused = _comment(f"{name} traffic not accepted by {firewall}")
                yield "filter", "KUBE-PROXY-FIREWALL", f"{to_ip(refused)} -j DROP"

    if port.node_port:
        if port.has_endpoints:
            yield "nat", "KUBE-NODEPORTS", f"{_to_port(protocol, port.node_port, _comment(name))} -j {ext}"
        if not outside:
            to_node = _to_port(protocol, port.node_port, f"{why} {LOCAL_DESTINATION}")
            yield "filter", "KUBE-EXTERNAL-SERVICES", f"{to_node} -j {refusal}"
    if port.health_check_node_port:
        # Answered on this node whether it has local endpoints or not: the answer says which.
        comment = _comment(f"{name} health check node port")
        yield "filter", "KUBE-NODEPORTS", f"{_to_port('tcp', port.health_check_node_port, comment)} -j ACCEPT"


def _split_chains(port: PortView, context: Context) -> Iterator[Entry]:
    """Since 1.24: the chains of a service port that has endpoints: SVC, SVL, EXT, FW and one SEP an endpoint."""
    name = port.display_name
    svc, svl, ext = _chain("KUBE-SVC-", port), _chain("KUBE-SVL-", port), _chain("KUBE-EXT-", port)
    if not port.internal_local or port.local:
        yield from _masquerade_cluster_ip(port, context, _internal_chain(port))

    if port.external:
        comment = _commented(f"{name} external destinations")
        if not port.external_local:
            yield "nat", ext, f"{comment('masquerade traffic for')} -j KUBE-MARK-MASQ"
        else:
            if context.cluster_cidr:
                yield "nat", ext, f"{_source(context.cluster_cidr)}{comment('pod traffic for')} -j {svc}"
            yield "nat", ext, f"{comment('masquerade LOCAL traffic for')} {LOCAL_SOURCE} -j KUBE-MARK-MASQ"
            yield "nat", ext, f"{comment('route LOCAL traffic for')} {LOCAL_SOURCE} -j {svc}"
        if not port.external_local:
            yield "nat", ext, f"-j {svc}"
        elif port.local:
            yield "nat", ext, f"-j {svl}"

    if _has_firewall(port):
        firewall = _chain("KUBE-FW-", port)
        yield from _source_ranges(port, context, firewall, ext, port.load_balancer_ips)
        rest = _comment(f"other traffic to {name} will be dropped by KUBE-PROXY-FIREWALL")
        yield "nat", firewall, rest

    def comment_of(target: Target) -> str:
        return _comment(f"{name} -> {target.text}") if context.endpoint_comments else ""

    yield from _balance(port, context, svc, port.cluster, comment_of, comment_of)
    yield from _balance(port, context, svl, port.local, comment_of, comment_of)
    yield from _endpoints(port, context)


def _xlb_dispatch(port: PortView, context: Context) -> Iterator[Entry]:
    """Up to 1.23: the masquerading stands in the shared chains, beside the jump that it belongs to."""
    name, protocol = port.display_name, port.protocol
    svc, xlb, firewall = _chain("KUBE-SVC-", port), _chain("KUBE-XLB-", port), _chain("KUBE-FW-", port)
    outside = xlb if port.external_local else svc
    if not port.has_endpoints:
        why = _comment(f"{name} has no endpoints")
        yield "filter", "KUBE-SERVICES", f"{_to(port.cluster_ip, protocol, port.port)(why)} -j {context.reject()}"
        for ip in port.external_ips + port.load_balancer_ips:
            to_ip = _to(ip, protocol, port.port)(why)
            yield "filter", "KUBE-EXTERNAL-SERVICES", f"{to_ip} -j {context.reject()}"
        if port.node_port:
            to_node = _to_port(protocol, port.node_port, f"{why} {LOCAL_DESTINATION}")
            yield "filter", "KUBE-EXTERNAL-SERVICES", f"{to_node} -j {context.reject()}"
        return

    yield from _masquerade_cluster_ip(port, context, "KUBE-SERVICES")
    to_cluster_ip = _to(port.cluster_ip, protocol, port.port)(_comment(f"{name} cluster IP"))
    yield "nat", "KUBE-SERVICES", f"{to_cluster_ip} -j {svc}"

    for ip in port.external_ips:
        to_ip = _to(ip, protocol, port.port)(_comment(f"{name} external IP"))
        if not port.external_local:
            yield "nat", "KUBE-SERVICES", f"{to_ip} -j KUBE-MARK-MASQ"
        # What comes from off the machine, not from a bridged container nor from the node itself ...
        off_machine = "-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL"
        yield "nat", "KUBE-SERVICES", f"{to_ip} {off_machine} -j {outside}"
        # ... and what the node sends to an address of its own.
        yield "nat", "KUBE-SERVICES", f"{to_ip} {LOCAL_DESTINATION} -j {outside}"

    for ip in port.load_balancer_ips:
        comment = _comment(f"{name} loadbalancer IP")
        yield "nat", "KUBE-SERVICES", f"{_to(ip, protocol, port.port)(comment)} -j {firewall}"
        if not port.external_local:
            yield "nat", firewall, f"{comment} -j KUBE-MARK-MASQ"
        if port.source_ranges:
            yield from _source_ranges(port, context, firewall, outside, (ip,))
        else:
            yield "nat", firewall, f"{comment} -j {outside}"
        yield "nat", firewall, f"{comment} -j KUBE-MARK-DROP"

    if port.node_port:
        to_node = _to_port(protocol, port.node_port, _comment(name))
        from_loopback = f"-s {addresses.LOOPBACK[context.family]} " if port.external_local else ""
        yield "nat", "KUBE-NODEPORTS", f"{from_loopback}{to_node} -j KUBE-MARK-MASQ"
        yield "nat", "KUBE-NODEPORTS", f"{to_node} -j {outside}"


def _xlb_chains(port: PortView, context: Context) -> Iterator[Entry]:
    """Up to 1.23: SVC with all endpoints, XLB with the local ones, one SEP an endpoint."""
    name = port.display_name
    svc, xlb = _chain("KUBE-SVC-", port), _chain("KUBE-XLB-", port)
    if port.external_local:
        yield "nat", xlb, ""
    if not port.has_endpoints:
        return

    def comment_of(_target: Target) -> str:
        return _comment(name) if context.endpoint_comments else ""

    yield from _balance(port, context, svc, port.cluster, comment_of, comment_of)
    yield from _endpoints(port, context)
    if not port.external_local:
        return
    if context.cluster_cidr:
        redirect = _comment("Redirect pods trying to reach external loadbalancer VIP to clusterIP")
        yield "nat", xlb, f"{_source(context.cluster_cidr)}{redirect} -j {svc}"
    masquerade = _comment(f"masquerade LOCAL traffic for {name} LB IP")
    yield "nat", xlb, f"{masquerade} {LOCAL_SOURCE} -j KUBE-MARK-MASQ"
    yield "nat", xlb, f"{_comment(f'route LOCAL traffic for {name} LB IP to service chain')} {LOCAL_SOURCE} -j {svc}"
    if not port.local:
        yield "nat", xlb, f"{_comment(f'{name} has no local endpoints')} -j KUBE-MARK-DROP"
    order = {target: index for index, target in enumerate(port.local)}
    yield from _balance(
        port,
        context,
        xlb,
        port.local,
        lambda _target: _comment(name),
        lambda target: _comment(f"Balancing rule {order[target]} for {name}"),
    )


# --- what both ways of cutting a service port share


def _masquerade_cluster_ip(port: PortView, context: Context, chain: str) -> Iterator[Entry]:
    """What reaches a ClusterIP from outside is masqueraded, so that the answers come back through this node."""
    to_cluster_ip = _to(port.cluster_ip, port.protocol, port.port)(_comment(f"{port.display_name} cluster IP"))
    if context.settings.masquerade_all:
        yield "nat", chain, f"{to_cluster_ip} -j KUBE-MARK-MASQ"
    elif context.cluster_cidr:
        yield "nat", chain, f"! -s {context.cluster_cidr} {to_cluster_ip} -j KUBE-MARK-MASQ"


def _source_ranges(port: PortView, context: Context, firewall: str, target: str, ips: Sequence[str]) -> Iterator[Entry]:
    """loadBalancerSourceRanges: who may come in. A node that may talks to a VIP of its own from that VIP."""
    comment = _comment(f"{port.display_name} loadbalancer IP")
    for source in port.source_ranges:
        yield "nat", firewall, f"{_source(source)}{comment} -j {target}"
    node_ip = context.settings.node_ip(context.family)
    if node_ip and any(addresses.contains(source, node_ip) for source in port.source_ranges):
        for ip in ips:
            yield "nat", firewall, f"-s {addresses.host_network(ip)} {comment} -j {target}"


def _balance(
    port: PortView,
    context: Context,
    chain: str,
    targets: Sequence[Target],
    affinity_comment: Callable[[Target], str],
    comment: Callable[[Target], str],
) -> Iterator[Entry]:
    """A chain that sends each new connection to one of ``targets``, all with the same probability.

    With ClientIP affinity, a client that was seen lately goes where it went before.
    """
    if port.affinity_seconds:
        for target in targets:
            sep = _endpoint_chain(port, target)
            seen = f"-m recent --rcheck --seconds {port.affinity_seconds} --reap {_recent_list(sep, context)}"
            yield "nat", chain, _words(affinity_comment(target), seen, f"-j {sep}")
    for left, target in zip(range(len(targets), 0, -1), targets):
        chance = f"-m statistic --mode random --probability {names.probability(left)}" if left > 1 else ""
        yield "nat", chain, _words(comment(target), chance, f"-j {_endpoint_chain(port, target)}")


def _endpoints(port: PortView, context: Context) -> Iterator[Entry]:
    """One chain an endpoint: hairpin traffic is masqueraded, then the destination is rewritten."""
    comment = _comment(port.display_name) if context.endpoint_comments else ""
    for target in port.targets:
        sep = _endpoint_chain(port, target)
        remember = f"-m recent --set {_recent_list(sep, context)}" if port.affinity_seconds else ""
        yield "nat", sep, _words(f"-s {addresses.host_network(target.address)}", comment, "-j KUBE-MARK-MASQ")
        yield (
            "nat",
            sep,
            _words(
                f"-p {port.protocol}", comment, remember, f"-m {port.protocol} -j DNAT --to-destination {target.text}"
            ),
        )


def host_port_rules(host_ports: Sequence[HostPort]) -> Iterator[Entry]:
    """The host ports of this node's Pods, as the kubelet's host port manager programmed them."""
    if not host_ports:
        return
    yield "nat", "KUBE-HOSTPORTS", ""
    for jump in HOST_PORT_JUMPS:
        yield jump.table, jump.chain, jump.rule
    for entry in host_ports:
        chain = names.host_port_chain_name(entry.pod_id, entry.host_port, entry.protocol)
        protocol = entry.protocol.lower()
        comment = _comment(f"{entry.pod}_{entry.namespace} hostport {entry.host_port}")
        to_host = f"-d {addresses.host_network(entry.host_ip)} " if entry.host_ip else ""
        yield "nat", "KUBE-HOSTPORTS", f"{to_host}{_to_port(protocol, entry.host_port, comment)} -j {chain}"
        for address in entry.addresses[:1]:
            yield "nat", chain, f"-s {addresses.host_network(address)} {comment} -j KUBE-MARK-MASQ"
            destination = addresses.host_port(address, entry.port)
            yield "nat", chain, f"-p {protocol} {comment} -m {protocol} -j DNAT --to-destination {destination}"


def _internal_chain(port: PortView) -> str:
    return _chain("KUBE-SVL-" if port.internal_local else "KUBE-SVC-", port)


def _has_firewall(port: PortView) -> bool:
    return bool(port.has_endpoints and port.load_balancer_ips and port.source_ranges)


def _chain(prefix: str, port: PortView) -> str:
    return names.chain_name(prefix, port.display_name, port.protocol)


def _endpoint_chain(port: PortView, target: Target) -> str:
    return names.chain_name("KUBE-SEP-", port.display_name, port.protocol, target.text)


# --- pieces of a rule, in the order in which iptables-save prints them


def _comment(text: str) -> str:
    """A comment match. What it holds was checked to be names, numbers and addresses: no quote can be in it."""
    return f'-m comment --comment "{text}"'


def _commented(end: str) -> Callable[[str], str]:
    return lambda begin: _comment(f"{begin} {end}")


def _to(ip: str, protocol: str, port: int) -> Callable[[str], str]:
    """Packets to ``ip:port``, with a comment."""
    return lambda comment: f"-d {addresses.host_network(ip)} {_to_port(protocol, port, comment)}"


def _to_port(protocol: str, port: int, matches: str) -> str:
    return f"-p {protocol} {matches} -m {protocol} --dport {port}"


def _source(network: str) -> str:
    """``-s`` and the network; nothing for the network of all addresses, which the kernel does not keep."""
    return "" if network in addresses.ANY.values() else f"-s {network} "


def _recent_list(chain: str, context: Context) -> str:
    return f"--name {chain} --mask {_RECENT_MASK[context.family]} --rsource"


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)
