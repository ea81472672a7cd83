"""A rule set of iptables, and its text as iptables-save(8) prints it.

``RuleSet`` is ``{table: {chain: [rule, …]}}``; a rule is the text behind ``-A CHAIN``. Built-in chains stand in it
with those of their rules that matter to us, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from ... import addresses

RuleSet = dict[str, dict[str, list[str]]]

FILES = {addresses.IPV4: "iptables.rules", addresses.IPV6: "ip6tables.rules"}
"""The file of a node that holds the rules of a family."""

_HEADER = "# Written by Sluice from the catalogue of Services: change that, not this file.\n"

OWNER_CHAIN = "SLUICE-OWNER"
"""An empty chain that marks a table's KUBE-* chains as Sluice's; a kube-proxy's tables lack it."""

TABLES = ("filter", "nat")
"""The tables that Sluice uses, in the order in which it writes them."""

BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}

PREFIX_CHAIN = "KUBE-PFX-"
"""The prefix of the chains of the prefix dispatch."""

HOST_PORTS_CHAIN = "KUBE-HOSTPORTS"
"""The host ports of Pods. A kubelet appends the jump to it, so that it comes after KUBE-SERVICES."""

NODE_PORTS_COMMENT = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
"""The comment of the rules that lead from KUBE-SERVICES to the node ports."""

_FEW = 100
"""Chains up to which ``difference`` picks lines."""

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
    if [table for table, _text in pieces[0]] != [table for table, _text in pieces[1]]:
        return parse(old), parse(new)
    names: dict[str, None] = {}
    for (_table, before), (_same, after) in zip(*pieces):
        middle = _middles(before, after)
        here = dict.fromkeys(map(_chain_of, sorted(set(middle[0]).symmetric_difference(middle[1]))))
        heads = tuple(head for name in here for head in (f"-A {name} ", f":{name} "))
        rest = [[line for line in side if not line.startswith(heads)] for side in middle]
        if rest[0] != rest[1]:  # lines that have changed places, or how often they are there
            return parse(old), parse(new)
        names.update(here)
    if len(names) > _FEW or "" in names:
        return parse(old), parse(new)
    return _picked(pieces[0], names), _picked(pieces[1], names)


def _pieces(text: str) -> list[tuple[str, str]]:
    """The tables of a text in two pieces each, chains and rules, with the table's name."""
    found = []
    for part in text.split("COMMIT\n"):
        star = part.find("*") if part.startswith("*") else part.find("\n*") + 1
        if part[star : star + 1] == "*":
            end = part.find("\n", star)
            rules = part.find("\n-A ", end)
            cut = len(part) if rules < 0 else rules + 1
            found += [(part[star + 1 : end], part[end:cut]), (part[star + 1 : end], "\n" + part[cut:])]
    return found


def _middles(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines of two texts between their common start and their common end."""
    begin = _shared(before, after, lambda text, low, high: text[low:high])
    begin = before.rfind("\n", 0, begin) + 1
    rest = before[begin:], after[begin:]
    end = _shared(*rest, lambda text, low, high: text[len(text) - high : len(text) - low])
    end = len(rest[0][len(rest[0]) - end :].partition("\n")[2])  # whole lines
    return rest[0][: len(rest[0]) - end].splitlines(), rest[1][: len(rest[1]) - end].splitlines()


def _shared(before: str, after: str, piece: Callable[[str, int, int], str]) -> int:
    """How many characters two texts share, by halving: the comparisons are the C library's."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        if piece(before, low, middle) == piece(after, low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _picked(pieces: Iterable[tuple[str, str]], names: Iterable[str]) -> RuleSet:
    """The chains ``names`` of a text."""
    rules: RuleSet = {}
    for table, piece in pieces:
        chains = rules.setdefault(table, {})
        for name in names:
            if f"\n:{name} " in piece:
                chains.setdefault(name, [])
            head = f"\n-A {name} "
            at = piece.find(head)
            while at >= 0:
                end = piece.find("\n", at + 1)
                chains.setdefault(name, []).append(piece[at + len(head) : end if end >= 0 else len(piece)].rstrip())
                at = piece.find(head, at + 1)
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


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def files(rules: Mapping[str, RuleSet]) -> dict[str, str]:
    """The files of a node that hold these rule sets, one per family."""
    return {FILES[family]: _HEADER + text(found) for family, found in rules.items()}


def parse_files(contents: Mapping[str, str]) -> dict[str, RuleSet]:
    """The rule set of each family that ``contents`` has a file of. Raises TextError."""
    return {family: parse(contents[name]) for family, name in FILES.items() if name in contents}


def comment(text: str) -> str:
    """A comment match. What it holds was checked to be names, numbers and addresses: no quote can be in it."""
    return f'-m comment --comment "{text}"'
