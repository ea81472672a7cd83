"""Oddities of nftables: chains and sets that are not there, base chains that lead nowhere, endpoints without a slot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from ..backends.nftables import layout
from . import oddities_nft_flat, oddities_nft_proxy
from .nft_values import pattern
from .nftables import Table
from .oddities_nft_proxy import targets
from .oddity import Oddity, few
from .services_flat import Lists, elements, has
from .services_nftables import OF_A_SERVICE, TABLE

_ANEW = "have the proxy write its table anew (sluice apply, or restart kube-proxy)"
_SET = re.compile(r'"@([^"]+)"')
_SLOTS = re.compile(r"-(\d+)(?:-sticky|$)")
_WANTED = ("prerouting", "output", "postrouting")


def found(tables: Sequence[Table]) -> Iterator[Oddity]:
    """Those of kube-proxy's tables and Sluice's own; of others only what dangles."""
    for table in tables:
        if table.is_of_iptables:
            continue
        where = f"nftables {table.family} {table.name}"
        yield from _dangling(table, where)
        if has(table) or table.name == TABLE:
            yield from _base_chains(table, where)
        if table.name == TABLE:
            yield from _orphans(table, where)
            yield from oddities_nft_proxy.found(table, where)
        if has(table):
            yield from oddities_nft_proxy.unasked(table, _from_bases(table), where)
            yield from oddities_nft_flat.found(table, where)
            yield from _lists(table, where)


def _from_bases(table: Table) -> set[str]:
    return oddities_nft_proxy.reached_from(table, [base["name"] for base in table.base])


def _dangling(table: Table, where: str) -> Iterator[Oddity]:
    listed = [(f"chain {name}", rules) for name, rules in table.rules.items()]
    listed += [(f"map {name}", of.get("elem", [])) for name, of in table.listed.items() if of.get("map") == "verdict"]
    for place, of in listed:
        for target in dict.fromkeys(targets(of)):
            if target not in table.rules:
                effect = "packets that it is for go on unchanged"
                yield Oddity(f"jump to a chain that is not there: {target}", f"{where}: {place}", effect, _ANEW, True)
    for name, rules in table.rules.items():
        for wanted in dict.fromkeys(_SET.findall(json.dumps(rules))):
            if wanted not in table.listed and not wanted.startswith("affinity-"):
                effect = "the rule matches nothing"
                yield Oddity(f"set that is not there: {wanted}", f"{where}: chain {name}", effect, _ANEW, True)


def _base_chains(table: Table, where: str) -> Iterator[Oddity]:
    for hook in _WANTED:
        starts = [base["name"] for base in table.base if base["hook"] == hook and base["type"] == "nat"]
        reached = set(_reached(table, starts))
        rules = [statement for name in reached for rule in table.rules.get(name, ()) for statement in rule]
        if hook == "postrouting":
            well = any("masquerade" in each or "snat" in each for each in rules)
            effect = "nothing is masqueraded, so answers go past this node"
        else:
            well = "services" in reached
            effect = (
                "no client outside reaches any Service"
                if hook == "prerouting"
                else "the node itself reaches no Service"
            )
        if not well:
            what = f"no base chain in {hook} leads to the rules of Services"
            yield Oddity(what, where, effect, _ANEW, True)


def _reached(table: Table, starts: Iterable[str]) -> Iterator[str]:
    seen, waiting = set(starts), list(starts)
    while waiting:
        name = waiting.pop()
        yield name
        for target in targets(table.rules.get(name, [])):
            if target not in seen:
                seen.add(target)
                waiting.append(target)


def _orphans(table: Table, where: str) -> Iterator[Oddity]:
    reached = set(targets(list(table.rules.values())))
    for of in table.listed.values():
        if of.get("map") == "verdict":
            reached.update(targets(of.get("elem", [])))
    # What has no rules either is a chain that kube-proxy deletes a second later.
    orphans = [
        name for name, rules in table.rules.items() if rules and name not in reached and OF_A_SERVICE.match(name)
    ]
    if orphans:
        # kube-proxy empties what it does not need any more at once: what has rules is wanted.
        effect = "no packet comes there: an address or an endpoint of its Service is not served, or not fenced"
        yield Oddity("chains to which no rule jumps", f"{where}: {few(orphans)}", effect, _ANEW, True)


def _lists(table: Table, where: str) -> Iterator[Oddity]:
    lists = Lists(table)
    lost, short = [], []
    for kind in ("addresses", "node-ports"):
        for key, data, name in elements(table, kind):
            register = pattern(data)
            service = register & layout.SERVICE_MASK
            if not {service, service | layout.LOCAL} & lists.ways.keys():
                lost.append(f"{name or key}")
    for the_list, way in lists.ways.items():
        wanted = _SLOTS.search(way)
        has_now = len(lists.slots.get(the_list, ()))
        if wanted and has_now < int(wanted[1]):
            short.append(f"{has_now} of {wanted[1]} slots ({layout.class_id(the_list)})")
    if lost:
        effect = "its packets go on unchanged, and nobody answers"
        yield Oddity("address of a Service without a list of endpoints", f"{where}: {few(lost)}", effect, _ANEW, True)
    if short:
        effect = "the first endpoint gets the share of those that are missing, or nobody does"
        yield Oddity("list of endpoints with slots missing", f"{where}: {few(short)}", effect, _ANEW, True)
