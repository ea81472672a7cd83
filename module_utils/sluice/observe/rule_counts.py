"""How many rules there are, of which kind and whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ..backends.iptables.text import HOST_PORTS_CHAIN, PREFIX_CHAINS
from .iptables_rules import Tables, comment, target_name
from .laws import Style
from .nftables import Table
from .service_ports import IPTABLES, IPVS
from .services_flat import has
from .services_iptables import DISPATCH, OF_A_SERVICE
from .services_nftables import TABLE
from .snapshot import Snapshot

OURS = ("KUBE-", "SLUICE-")
"""How the chains of kube-proxy, of a kubelet and of Sluice begin."""


class Count(NamedTuple):
    """``where``: the backend or table. ``kind``: what is counted. ``of``: whose it is."""

    where: str
    kind: str
    of: str
    number: int


PER_SERVICE, CONSTANT, OTHERS = "per Service", "constant", "of others"

_PARTS = {
    "SVC": "choose an endpoint",
    "SVL": "choose an endpoint of this node",
    "EXT": "for clients outside",
    "XLB": "for clients outside, policy Local",
    "FW": "for load balancers' addresses",
}


def counts(snapshot: Snapshot) -> list[Count]:
    """All rules, virtual and real servers, sets and elements of a node."""
    found: list[Count] = []
    for variant, tables in snapshot.iptables.items():
        where = f"{IPTABLES}-{variant.name}" if variant.name else IPTABLES
        found += _of_iptables(tables, f"{where} {variant.family}")
    if snapshot.servers:
        real = sum(len(server.real) for server in snapshot.servers.values())
        found += [
            Count(IPVS, "virtual servers", PER_SERVICE, len(snapshot.servers)),
            Count(IPVS, "real servers", PER_SERVICE, real),
        ]
    if snapshot.sets:
        members = sum(len(each.members) for each in snapshot.sets.values())
        found += [
            Count("ipset", "sets", CONSTANT, len(snapshot.sets)),
            Count("ipset", "members", PER_SERVICE, members),
        ]
    for table in snapshot.nftables:
        found += _of_nftables(table)
    return [each for each in found if each.number]


def _of_iptables(tables: Tables, where: str) -> Iterator[Count]:
    number: Counter[tuple[str, str]] = Counter()
    for table, chains in tables.rules.items():
        for chain, rules in chains.items():
            part = OF_A_SERVICE.match(chain)
            if part:
                number[_PARTS[part[1]], PER_SERVICE] += len(rules)
            elif chain.startswith("KUBE-SEP-"):
                number["rewrite to an endpoint", PER_SERVICE] += len(rules)
            elif (table, chain) in DISPATCH or chain.startswith(PREFIX_CHAINS):
                listed = sum(" --dport " in text for text in rules)
                number["tell Services by their addresses", PER_SERVICE] += listed
                number["frame", CONSTANT] += len(rules) - listed
            elif chain == HOST_PORTS_CHAIN or chain.startswith("KUBE-HP-"):
                number["host ports", "per Pod"] += len(rules)
            elif chain.startswith(OURS):
                number["frame", CONSTANT] += len(rules)
            else:
                jumps = sum(target_name(text).startswith(OURS) for text in rules)
                number["frame", CONSTANT] += jumps
                number["rules", OTHERS] += len(rules) - jumps
    for (kind, of), count in sorted(number.items(), key=lambda each: (each[0][1] != PER_SERVICE, each[0])):
        yield Count(where, kind, of, count)


def _of_nftables(table: Table) -> Iterator[Count]:
    if table.is_of_iptables:
        return
    where = f"nftables {table.family} {table.name}"
    rules = sum(map(len, table.rules.values()))
    elements = sum(len(each.get("elem", ())) for each in table.listed.values())
    is_ours, is_theirs = has(table), table.name == TABLE
    yield Count(where, "rules", CONSTANT if is_ours else PER_SERVICE if is_theirs else OTHERS, rules)
    yield Count(where, "elements", PER_SERVICE if is_ours or is_theirs else OTHERS, elements)


def style(snapshot: Snapshot) -> Style:
    """What the rules of iptables have in common, as far as there are any."""
    chains = [found for tables in snapshot.iptables.values() for found in tables.rules.get("nat", {}).items()]
    masquerades = pods = is_old = is_new = localhost = marks = fences = False
    for name, rules in chains:
        part = OF_A_SERVICE.match(name)
        kind = part[1] if part else ""
        is_old |= kind == "XLB" or name == "KUBE-MARK-DROP"
        # The comments of 1.25 and later say which endpoint a rule leads to.
        is_new |= kind == "EXT" or (kind == "SVC" and any(" -> " in text for text in rules[-1:]))
        if kind == "FW":
            marks |= any(text.endswith("-j KUBE-MARK-DROP") for text in rules[-1:])
            fences |= not any(text.startswith("-s ") for text in rules)
        if name == "KUBE-NODEPORTS":
            localhost |= any(" --nfacct-name localhost_nps_accepted_pkts" in text for text in rules)
        lists = name == "KUBE-SERVICES" or name.startswith(PREFIX_CHAINS)
        if lists or kind in ("SVC", "SVL"):
            first = rules if lists and not masquerades else rules[:1]
            masquerades |= any(" cluster IP" in text and text.endswith("-j KUBE-MARK-MASQ") for text in first)
        elif kind in ("EXT", "XLB"):
            pods |= any(comment(text).startswith(("pod traffic for", "Redirect pods")) for text in rules[:1])
    if not any(OF_A_SERVICE.match(name) for name, _rules in chains):
        return Style()
    if is_old and not is_new:
        return Style(True, masquerades, pods, localhost)
    return Style(False, masquerades, pods, localhost, marks, fences)
