"""Oddities of Sluice's flat nftables table: its rules are few and always the same, so that one that is gone shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from .nftables import Table
from .oddities_nft_proxy import reached_from
from .oddity import Oddity, few
from .services_flat import Lists

_ANEW = "have the table written anew (sluice apply; sluice diff says how it differs)"
_NOBODY = "Services' packets go on unchanged, and nobody answers"
_PAST = "what is sent on keeps its client's address: endpoints answer past this node, and clients take no answer"
_WAITS = "clients of a Service without endpoints wait for an answer instead of being refused"

_PARTS = {
    "services": (('"@addresses"', '"@node-ports"'), _NOBODY),
    "balance": (('"@lists"', '"@ways"'), _NOBODY),
    **dict.fromkeys(("to-cluster", "to-local", "inside", "inside-local"), (('"goto"',), _NOBODY)),
    "outside": (('"goto"', '"mark"'), f"{_NOBODY}, or {_PAST}"),
    "outside-local": (('"goto"', '"fib"'), f"{_NOBODY}, or {_PAST}"),
    **dict.fromkeys(
        ("fenced-outside", "fenced-outside-local"), (('"@ranges"',), "loadBalancerSourceRanges are not kept")
    ),
    "nat-postrouting": (('"mark"', '"@hairpin"'), _PAST),
    "new-inside": (('"@refuse-inside"', '"@drop-inside"'), _WAITS),
    "new-outside": (('"@refuse-outside"', '"@drop-outside"'), _WAITS),
    "filter-input": (('"@refuse-node-ports"', '"@drop-node-ports"'), _WAITS),
}
"""What stands in a chain's rules, and what comes of it if it does not."""

_REACHED = (("new-outside", ("input", "forward")), ("new-inside", ("forward", "output")))
_RANDOM = re.compile(r"random-\d+(?:-|$)")


def found(table: Table, where: str) -> Iterator[Oddity]:
    """Those of one flat table."""
    lacking: dict[str, list[str]] = {}
    for chain, (parts, effect) in _PARTS.items():
        if chain in table.rules:
            text = json.dumps(table.rules[chain])
            if not all(part in text for part in parts):
                lacking.setdefault(effect, []).append(chain)
    for chain, rules in table.rules.items():
        if _RANDOM.match(chain) and '"dnat"' not in json.dumps(rules):
            lacking.setdefault(_NOBODY, []).append(chain)
    for chain, hooks in _REACHED:
        for hook in hooks if chain in table.rules else ():
            starts = [base["name"] for base in table.base if base["hook"] == hook]
            if chain not in reached_from(table, starts):
                lacking.setdefault(_WAITS, []).append(f"{hook}, which leads to no {chain}")
    for effect, chains in lacking.items():
        yield Oddity("chain that lacks rules", f"{where}: {few(chains)}", effect, _ANEW, effect != _WAITS)
    idle = sum(not way for way in Lists(table).ways.values())
    if idle:
        effect = "packets of their Services go on unchanged, and nobody answers"
        yield Oddity("list of endpoints that no chain chooses from", f"{where}: {idle}", effect, _ANEW, True)
