"""A rule set of iptables, and its text as iptables-save(8) prints it.

``RuleSet`` is ``{table: {chain: [rule, …]}}``; a rule is the text behind ``-A CHAIN``. Built-in chains stand in it
with those of their rules that matter to us, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

RuleSet = dict[str, dict[str, list[str]]]

TABLES = ("filter", "nat")
"""The tables that Sluice uses, in the order in which it writes them."""

BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}

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
            chain, _, rule = line[3:].partition(" ")
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

    Where a few of tens of thousands of chains differ, that takes a third of the time that two ``parse`` take.
    """
    lines = old.splitlines(), new.splitlines()
    names = {name for name in map(_chain_of, set(lines[0]).symmetric_difference(lines[1])) if name}
    if len(names) > _FEW:
        return parse(old), parse(new)
    heads = tuple(head for name in names for head in (f"-A {name} ", f":{name} "))
    rest = [[line for line in side if not line.startswith(heads)] for side in lines]
    if rest[0] != rest[1]:  # lines that have changed places, or how often they are there
        return parse(old), parse(new)
    tables = ("*", "COMMIT")
    kept = ["\n".join(line for line in side if line.startswith(heads) or line.startswith(tables)) for side in lines]
    return parse(kept[0]), parse(kept[1])


_FEW = 100
"""Chains up to which ``difference`` picks lines."""


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
