"""The rule set of kube-proxy's iptables mode for one view.

Rules are written as iptables-save prints them, so that what the kernel holds can be compared as text. Each function
reads as a table: which packet, what happens to it. What differs between releases is data in ``dialect``; the two ways
in which they cut a service port into chains are ``layout_ext`` and ``layout_xlb``.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import addresses
from ...settings import Settings
from ...view import PortView, View
from ..interface import Memo
from ..shared import has_host_ports_on_loopback, serves_localhost
from . import layout_ext, layout_xlb, text
from .common import (
    LOCAL_DESTINATION,
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
from .dialect import EXT, XLB
from .dispatch import LEAF_ADDRESSES, MANY_ADDRESSES, as_tree
from .text import NODE_PORTS_COMMENT, comment

_LISTED = {"linear": None, "prefix": LEAF_ADDRESSES, "auto": MANY_ADDRESSES}
"""How many addresses a dispatch chain lists before it becomes a tree, by ``sluice_iptables_dispatch``; None: any."""

_LAYOUTS = {EXT: layout_ext.service_port, XLB: layout_xlb.service_port}


def rules(view: View, settings: Settings, memo: Memo) -> str:
    """Everything that Sluice wants in the kernel for ``view``: all its chains, and its jumps from built-in chains.

    As the text of a file (module text).
    """
    context = Context(view, settings)
    dialect = context.dialect
    service_port = _LAYOUTS[dialect.layout]
    before = collected(skeleton(dialect.chains, dialect.jumps), _constant_rules(view, context))
    after = collected(_node_ports_tail(context), host_port_rules(view))

    def part(port: PortView) -> text.Part:
        return text.part(collected(service_port(port, context)), before)

    parts = [memo.of(port, context.endpoint_comments, part) for port in view.ports]
    above = _LISTED[settings.iptables_dispatch]
    if above is not None:
        before, parts, after = as_tree(before, parts, after, above)
    return text.assembled(before, parts, after)


def opens_localnet(view: View, settings: Settings) -> bool:
    """Whether node ports or host ports answer on 127.0.0.0/8, for which packets have to be let out of loopback."""
    return view.family == addresses.IPV4 and (serves_localhost(settings) or has_host_ports_on_loopback(view))


def _constant_rules(view: View, context: Context) -> Iterator[Entry]:
    dialect, settings = context.dialect, context.settings
    yield from masquerading(context)
    if not (dialect.liberal_setting and settings.conntrack_tcp_be_liberal):
        # A packet that conntrack does not know would leave with the endpoint's address and reset the connection.
        yield "filter", "KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP"
    yield from forwarding(context)
    if context.release.drop_mark:
        yield from dropping()
    if opens_localnet(view, settings):
        yield from localnet()
    yield from untracked(settings)


def _node_ports_tail(context: Context) -> Iterator[Entry]:
    """KUBE-SERVICES ends with the way to the node ports: of all local addresses, or of those that are named."""
    settings, family = context.settings, context.family
    optional = context.release.localhost_setting
    networks = settings.nodeport_networks(family)
    last = comment(NODE_PORTS_COMMENT)
    if addresses.ANY[family] in networks:
        not_loopback = ""
        if optional and (family == addresses.IPV6 or not settings.localhost_nodeports):
            not_loopback = f"! -d {addresses.LOOPBACK[family]} "
        yield "nat", "KUBE-SERVICES", f"{not_loopback}{last} {LOCAL_DESTINATION} -j KUBE-NODEPORTS"
        return
    for address in dict.fromkeys(settings.node_addresses):
        if not any(addresses.contains(net, address) for net in networks):
            continue
        loopback_works = family == addresses.IPV4 and settings.localhost_nodeports
        if optional and addresses.is_loopback(address) and not loopback_works:
            continue
        yield "nat", "KUBE-SERVICES", f"-d {addresses.host_network(address)} {last} -j KUBE-NODEPORTS"
