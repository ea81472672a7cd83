"""A rule set of iptables, and its text as iptables-save(8) prints it.

``RuleSet`` is ``{table: {chain: [rule, …]}}``; a rule is the text behind ``-A CHAIN``. Built-in chains stand in it
with those of their rules that matter to us, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ... import addresses, lines
from ...lines import Piece

RuleSet = dict[str, dict[str, list[str]]]

FILES = {addresses.IPV4: "iptables.rules", addresses.IPV6: "ip6tables.rules"}
"""The file of a node that holds the rules of a family."""

_HEADER = "# Written by Sluice from the catalogue of Services: change that, not this file.\n"

OWNER_CHAIN = "SLUICE-OWNER"
"""An empty chain that marks a table's KUBE-* chains as Sluice's; a kube-proxy's tables lack it."""

TABLES = ("filter", "nat")
"""The tables that Sluice always uses, in the order in which it writes them."""

BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}

PREFIX_CHAIN = "KUBE-SVC-PFX-"
"""The prefix of the chains of the prefix dispatch.

A kube-proxy that a node is given back to removes what begins as its Services' chains and is none of them, and it cannot
where a chain of another name still jumps to one. The dash behind it no hash has: so no Service has such a chain.
"""

PREFIX_CHAINS = (PREFIX_CHAIN, "KUBE-PFX-")
"""The same, and that of an earlier Sluice (0.1)."""

NAME_LENGTH = 28
"""Characters that the name of a chain may have."""

HOST_PORTS_CHAIN = "KUBE-HOSTPORTS"
"""The host ports of Pods. A kubelet appends the jump to it, so that it comes after KUBE-SERVICES."""

NODE_PORTS_COMMENT = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
"""The comment of the rules that lead from KUBE-SERVICES to the node ports."""

_FEW = 25
"""Chains up to which ``difference`` picks lines. Each is looked for in the whole text: more take longer than ``parse``
(28 ms each against 0.6 s, for 20,000 Services of 5 endpoints)."""

_COUNTERS = re.compile(r"^\[\d+:\d+\] ")


class TextError(ValueError):
    """Text is not in iptables-save form; the message says which line."""


def parse(text: str) -> RuleSet:
    """Read what iptables-save printed, or a file that iptables-restore takes. Counters and policies are left out."""
    rules: RuleSet = {}
    table: dict[str, list[str]] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.rstrip()
        if line.startswith("["):
            line = _COUNTERS.sub("", line)
        if line.startswith("-A ") and table is not None:
            chain, _blank, rule = line[3:].partition(" ")
            table.setdefault(chain, []).append(rule)
        elif line.startswith(":") and table is not None:
            table.setdefault(line[1:].partition(" ")[0], [])
        elif line.startswith("*"):
            table = rules.setdefault(line[1:].strip(), {})
        elif line == "COMMIT":
            table = None
        elif line and not line.startswith("#"):
            raise TextError(f"line {number}: not in iptables-save form: {line}")
    return rules


def difference(old: str, new: str) -> tuple[RuleSet, RuleSet]:
    """The rule sets of two texts, without (most of) the chains that are the same in both.

    Where a few of tens of thousands of chains differ, this takes a tenth of the time of two ``parse``: it compares
    lines only between the common start and the common end of each table's chains and rules.
    """
    pieces = _pieces(old), _pieces(new)
    if [piece.table for piece in pieces[0]] != [piece.table for piece in pieces[1]]:
        return parse(old), parse(new)
    names: dict[str, None] = {}
    for before, after in zip(*pieces):
        middle = [str(piece).splitlines() for piece in lines.middles(before.lines, after.lines)]
        here = dict.fromkeys(map(_chain_of, sorted(set(middle[0]).symmetric_difference(middle[1]))))
        names.update(here)
        if len(names) > _FEW or "" in names:
            return parse(old), parse(new)
        rest = [[line for line in side if _chain_of(line) not in here] for side in middle]
        if rest[0] != rest[1]:  # lines that have changed places, or how often they are there
            return parse(old), parse(new)
    return _picked(pieces[0], names), _picked(pieces[1], names)


def first_that_differs(old: str, new: str) -> str:
    """The first table in which two texts differ, ``""`` where there is none, or not in both. Takes a few ms."""
    shared = lines.shared(min(len(old), len(new)), lambda low, high: old[low:high] == new[low:high])
    if shared == max(len(old), len(new)):
        return ""
    star = old.rfind("\n*", 0, shared) + 1
    name, end, _rest = old[star + 1 : shared].partition("\n")
    return name if end and name in BUILT_IN else ""


class _Piece(NamedTuple):
    """The chains of a table, or its rules."""

    table: str
    lines: Piece


def _pieces(text: str) -> list[_Piece]:
    """The tables of a text in two pieces each, chains and rules. Places in the text: copies take time."""
    found = []
    star = 0 if text.startswith("*") else text.find("\n*") + 1 or len(text)
    while star < len(text):
        begin = text.find("\n", star) + 1 or len(text)
        end = text.find("\nCOMMIT\n", begin - 1) + 1 or len(text)
        cut = text.find("\n-A ", begin - 1, end) + 1 or end
        table = text[star + 1 : begin - 1]
        found += [_Piece(table, Piece(text, begin, cut)), _Piece(table, Piece(text, cut, end))]
        star = text.find("\n*", end) + 1 or len(text)
    return found


def _picked(pieces: Iterable[_Piece], names: Iterable[str]) -> RuleSet:
    """The chains ``names`` of a text."""
    rules: RuleSet = {}
    for table, (text, begin, end) in pieces:
        chains = rules.setdefault(table, {})
        for name in names:
            if name not in chains and text.find(f"\n:{name} ", begin - 1, end) >= 0:
                chains.setdefault(name, [])
            head = f"\n-A {name} "
            at = text.find(head, begin - 1, end)
            while at >= 0:
                line_end = text.find("\n", at + 1)
                line_end = line_end if line_end >= 0 else len(text)
                chains.setdefault(name, []).append(text[at + len(head) : line_end].rstrip())
                at = text.find(head, line_end, end)
    return rules


def _chain_of(line: str) -> str:
    if line.startswith("-A "):
        return line[3:].partition(" ")[0]
    return line[1:].partition(" ")[0] if line.startswith(":") else ""


def table_lines(table: str, chains: dict[str, list[str]]) -> Iterator[str]:
    """The lines of one table without ``*table`` and ``COMMIT``: our chains, then every chain's rules."""
    for chain in chains:
        if chain not in BUILT_IN[table]:
            yield f":{chain} - [0:0]"
    for chain, rules in chains.items():
        head = f"-A {chain} "
        for rule in rules:
            yield head + rule


def text(rules: RuleSet) -> str:
    """The rule set in iptables-save form; ``parse`` of it gives the rule set again."""
    return "".join(f"*{table}\n" + _joined(table_lines(table, chains)) + "COMMIT\n" for table, chains in rules.items())


class Part(NamedTuple):
    """What a service port has in a rule set, as text: rules in chains that there always are, and chains of its own.

    ``shared``: by table and chain. ``chains`` and their ``rules``: by table.
    """

    shared: Mapping[tuple[str, str], str]
    chains: Mapping[str, str]
    rules: Mapping[str, str]


def part(rules: RuleSet, frame: RuleSet) -> Part:
    """The part that ``rules`` are; ``frame`` has the chains that there always are."""
    shared, chains, own = {}, {}, {}
    for table, found in rules.items():
        for chain, held in found.items():
            if chain in frame[table]:
                shared[table, chain] = _rules(chain, held)
        names = [chain for chain in found if chain not in frame[table]]
        chains[table] = "".join(f":{chain} - [0:0]\n" for chain in names)
        own[table] = "".join(_rules(chain, found[chain]) for chain in names)
    return Part(shared, chains, own)


def assembled(before: RuleSet, parts: Sequence[Part], after: RuleSet) -> str:
    """The text of all: the chains that there always are, with their first rules and their last ones, and the parts."""
    pieces: list[str] = []
    for table, first in before.items():
        last = after.get(table, {})
        new = [chain for chain in last if chain not in first]
        pieces.append(f"*{table}\n")
        pieces += [f":{chain} - [0:0]\n" for chain in first if chain not in BUILT_IN[table]]
        pieces += [part.chains.get(table, "") for part in parts]
        pieces += [f":{chain} - [0:0]\n" for chain in new]
        for chain, rules in first.items():
            key = table, chain
            pieces.append(_rules(chain, rules))
            pieces += [part.shared[key] for part in parts if key in part.shared]
            pieces.append(_rules(chain, last.get(chain, ())))
        pieces += [part.rules.get(table, "") for part in parts]
        pieces += [_rules(chain, last[chain]) for chain in new]
        pieces.append("COMMIT\n")
    return "".join(pieces)


def rules_in(parts: Iterable[Part], table: str, chain: str) -> Iterator[str]:
    """The rules that parts have in one of the chains that there always are."""
    head = len(f"-A {chain} ")
    for part in parts:
        for line in part.shared.get((table, chain), "").splitlines():
            yield line[head:]


def _rules(chain: str, rules: Iterable[str]) -> str:
    return "".join([f"-A {chain} {rule}\n" for rule in rules])


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def files(rules: Mapping[str, str]) -> dict[str, str]:
    """The files of a node, by the text of the rule set of each family."""
    return {FILES[family]: _HEADER + found for family, found in rules.items()}


def parse_files(contents: Mapping[str, str]) -> dict[str, RuleSet]:
    """The rule set of each family that ``contents`` has a file of. Raises TextError."""
    return {family: parse(contents[name]) for family, name in FILES.items() if name in contents}


def comment(text: str) -> str:
    """A comment match. What it holds was checked to be names, numbers and addresses: no quote can be in it."""
    return f'-m comment --comment "{text}"'
