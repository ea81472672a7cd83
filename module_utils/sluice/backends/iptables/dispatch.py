"""The prefix dispatch: a service address is found through a tree of chains instead of one long list.

A list of 20,000 rules costs a new connection a third of a millisecond; the tree asks a few dozen. It follows the
addresses that there are: a chain stands for a prefix that several of them share, and is cut where it holds too many.
Cuts depend on the addresses below a prefix alone, so changing one Service changes the leaf that it is in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Union

from ... import names
from .text import NAME_LENGTH, NODE_PORTS_COMMENT, PREFIX_CHAIN, Part, RuleSet, comment, rules_in

DISPATCH_CHAINS = (("nat", "KUBE-SERVICES"), ("filter", "KUBE-SERVICES"))
LEAF_ADDRESSES = 16
"""Addresses above which a chain is cut."""

MANY_ADDRESSES = 500
"""Addresses above which a list costs a connection more than its tree does, by an amount that can be measured: some 7 us
with iptables-nft, of the 22 us that a connection through a node takes at all (docs/benchmarks.md)."""

STRIDE = 4
"""Bits that a cut looks at: up to 16 chains below one."""

_HOST = re.compile(r"(?:^| )-d (\S+)/(?:32|128)(?: |$)")

Chains = dict[str, list[str]]
_Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class _Entry(NamedTuple):
    """The rules of one address, as a number of ``bits`` bits."""

    value: int
    rules: list[str]


def as_tree(before: RuleSet, parts: Sequence[Part], after: RuleSet, above: int) -> tuple[RuleSet, list[Part], RuleSet]:
    """What is to be assembled (module text), with a tree in place of the address rules of the dispatch chains.

    ``above``: the addresses that a dispatch chain may have and yet stay a list.
    """
    first, last = ({table: dict(chains) for table, chains in rules.items()} for rules in (before, after))
    for table, chain in DISPATCH_CHAINS:
        # What is not about one address (the node ports) still comes last.
        flat = [*before[table][chain], *rules_in(parts, table, chain), *after[table].get(chain, ())]
        chains: Chains = {}
        first[table][chain] = tree(flat, table, chains, above)
        last[table].pop(chain, None)
        last[table].update(chains)
    rest = [
        part._replace(shared={key: text for key, text in part.shared.items() if key not in DISPATCH_CHAINS})
        for part in parts
    ]
    return first, rest, last


def tree(flat: Sequence[str], table: str, chains: Chains, above: int) -> list[str]:
    """A dispatch chain's rules ``flat`` as a tree, or as they are; the chains below it are put into ``chains``."""
    by_address, others = _split(flat)
    return _tree(by_address, table, chains) + others if len(by_address) > above else list(flat)


def _split(rules: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The rules by the one address that they are about, and those that are about none."""
    by_address: dict[str, list[str]] = {}
    others = []
    for rule in rules:
        host = _HOST.search(rule)
        if host and "! -d" not in rule and NODE_PORTS_COMMENT not in rule:
            by_address.setdefault(host.group(1), []).append(rule)
        else:
            others.append(rule)
    return by_address, others


def _tree(by_address: dict[str, list[str]], table: str, chains: Chains) -> list[str]:
    """The rules that dispatch to ``by_address``; the chains that they need are put into ``chains``."""
    bits = 128 if ":" in next(iter(by_address)) else 32
    entries = sorted(_Entry(int(ipaddress.ip_address(text)), rules) for text, rules in by_address.items())
    return _level(entries, bits, table, chains)


def _level(entries: list[_Entry], bits: int, table: str, chains: Chains) -> list[str]:
    """One level: a jump for each group of addresses that share the next bits behind what all of them share."""
    if len(entries) <= LEAF_ADDRESSES:
        return [rule for entry in entries for rule in entry.rules]
    shared = bits - (entries[0].value ^ entries[-1].value).bit_length()
    # Cut at multiples of the stride, so that one more address moves no other cut.
    length = min((shared // STRIDE + 1) * STRIDE, bits)
    groups: dict[int, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.value >> (bits - length), []).append(entry)
    rules = []
    for head, group in groups.items():
        if len(group) == 1:
            rules += group[0].rules
            continue
        network = _network(head << (bits - length), length, bits)
        chain = PREFIX_CHAIN + names.hashed(f"{table} {network}", NAME_LENGTH - len(PREFIX_CHAIN))
        chains[chain] = _level(group, bits, table, chains)
        rules.append(f"-d {network} {comment(f'service addresses in {network}')} -j {chain}")
    return rules


def _network(value: int, length: int, bits: int) -> _Network:
    if bits == 128:
        return ipaddress.IPv6Network((value, length))
    return ipaddress.IPv4Network((value, length))
