"""The chains that both layouts have: balancing, endpoints, source ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

from ... import addresses, names
from ...view import PortView, Target
from ..shared import node_may_enter
from .common import Context, Entry, source, to, words
from .text import comment

_RECENT_MASK = {
    addresses.IPV4: "255.255.255.255",
    addresses.IPV6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
}


def masquerade_cluster_ip(port: PortView, context: Context, chain: str) -> Iterator[Entry]:
    """What reaches a ClusterIP from outside is masqueraded, so that the answers come back through this node."""
    to_cluster_ip = to(port.cluster_ip, port.protocol, port.port)(comment(f"{port.display_name} cluster IP"))
    if context.settings.masquerade_all:
        yield "nat", chain, f"{to_cluster_ip} -j KUBE-MARK-MASQ"
    elif context.cluster_cidr:
        yield "nat", chain, f"! -s {context.cluster_cidr} {to_cluster_ip} -j KUBE-MARK-MASQ"


def source_ranges(port: PortView, context: Context, firewall: str, target: str, ips: Sequence[str]) -> Iterator[Entry]:
    """loadBalancerSourceRanges: the sources that may enter. A node that may enters a VIP of its own from that VIP."""
    about = comment(f"{port.display_name} loadbalancer IP")
    for network in port.source_ranges:
        yield "nat", firewall, f"{source(network)}{about} -j {target}"
    if node_may_enter(port, context.settings, context.family):
        for ip in ips:
            yield "nat", firewall, f"-s {addresses.host_network(ip)} {about} -j {target}"


def balance(
    port: PortView,
    context: Context,
    chain: str,
    targets: Sequence[Target],
    comment_of: Callable[[Target], str],
    affinity_comment_of: Callable[[Target], str] | None = None,
) -> Iterator[Entry]:
    """A chain that sends each new connection to one of ``targets``, all with the same probability.

    With ClientIP affinity, a client that was seen lately goes where it went before; those rules have comments of their
    own where ``affinity_comment_of`` is given.
    """
    if port.affinity_seconds:
        for target in targets:
            sep = endpoint_chain(port, target)
            seen = f"-m recent --rcheck --seconds {port.affinity_seconds} --reap {_recent_list(sep, context)}"
            yield "nat", chain, words((affinity_comment_of or comment_of)(target), seen, f"-j {sep}")
    for left, target in zip(range(len(targets), 0, -1), targets):
        chance = f"-m statistic --mode random --probability {names.probability(left)}" if left > 1 else ""
        yield "nat", chain, words(comment_of(target), chance, f"-j {endpoint_chain(port, target)}")


def endpoints(port: PortView, context: Context) -> Iterator[Entry]:
    """One chain per endpoint: hairpin traffic is masqueraded, then the destination is rewritten."""
    about = comment(port.display_name) if context.endpoint_comments else ""
    for target in port.targets:
        sep = endpoint_chain(port, target)
        remember = f"-m recent --set {_recent_list(sep, context)}" if port.affinity_seconds else ""
        rewrite = f"-m {port.protocol} -j DNAT --to-destination {target.text}"
        yield "nat", sep, words(f"-s {addresses.host_network(target.address)}", about, "-j KUBE-MARK-MASQ")
        yield "nat", sep, words(f"-p {port.protocol}", about, remember, rewrite)


def internal_chain(port: PortView) -> str:
    return chain_of("KUBE-SVL-" if port.internal_local else "KUBE-SVC-", port)


def has_firewall(port: PortView) -> bool:
    return bool(port.has_endpoints and port.load_balancer_ips and port.source_ranges)


def chain_of(prefix: str, port: PortView) -> str:
    return names.chain_name(prefix, port.display_name, port.protocol)


def endpoint_chain(port: PortView, target: Target) -> str:
    return names.chain_name("KUBE-SEP-", port.display_name, port.protocol, target.text)


def _recent_list(chain: str, context: Context) -> str:
    return f"--name {chain} --mask {_RECENT_MASK[context.family]} --rsource"
