"""All that is odd in a node's rules and around them: what lets a Service's packets go astray comes first."""

from __future__ import annotations

from collections.abc import Sequence

from . import (
    oddities_before,
    oddities_chains,
    oddities_dead,
    oddities_dispatch,
    oddities_dropped,
    oddities_endpoints,
    oddities_frame,
    oddities_ipvs,
    oddities_ipvs_rules,
    oddities_ipvs_sets,
    oddities_modules,
    oddities_nft_before,
    oddities_nftables,
    oddities_node,
    oddities_proxies,
    oddities_services,
)
from .iptables_chains import Jumps
from .laws import Style
from .oddity import Oddity
from .service_ports import IPTABLES, ServicePort
from .snapshot import Snapshot


def oddities(snapshot: Snapshot, ports: Sequence[ServicePort], style: Style) -> list[Oddity]:
    """Every oddity; ``ports``: the Services that are in the rules; ``style``: what the rules have in common."""
    found: list[Oddity] = []
    for variant, tables in snapshot.iptables.items():
        where = f"{IPTABLES}-{variant.name}" if variant.name else IPTABLES
        if len(snapshot.iptables) > 1:
            where += f" {variant.family}"
        jumps = Jumps(tables)
        own = [port for port in ports if port.family == variant.family]
        listed, others = oddities_dispatch.listed(tables)
        found += oddities_chains.found(tables, jumps, where)
        found += oddities_dispatch.found(tables, jumps, where, listed)
        found += oddities_dispatch.in_ours(others, where)
        found += oddities_endpoints.found(tables, listed, where)
        if not tables.is_piece:
            found += oddities_frame.found(tables, jumps, where)
            found += oddities_ipvs_rules.found(tables, variant.family, snapshot.sets, where)
            before = list(oddities_before.found(tables, jumps, where, own, snapshot))
            told = [each.where for each in before if each.hurts]
            found += [*before, *oddities_dropped.found(tables, where, own, snapshot, told)]
    found += oddities_ipvs.found(snapshot, ports)
    found += oddities_ipvs_sets.found(snapshot, ports)
    found += oddities_nftables.found(snapshot.nftables)
    found += oddities_nft_before.found(snapshot, ports)
    found += oddities_node.found(snapshot, ports)
    found += oddities_modules.found(snapshot)
    found += oddities_dead.found(snapshot, ports)
    found += oddities_proxies.found(snapshot, ports)
    if not any(tables.is_piece for tables in snapshot.iptables.values()):
        found += oddities_services.found(ports, style)
    return sorted(found, key=lambda each: not each.hurts)
