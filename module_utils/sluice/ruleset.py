"""A rule set of iptables, and its text as iptables-save(8) prints it.

``RuleSet`` is ``{table: {chain: [rule, …]}}``; a rule is the text behind ``-A CHAIN``. Built-in chains stand in it
with those of their rules that matter to us, in their order.
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, Iterator, List

RuleSet = Dict[str, Dict[str, List[str]]]

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
        line = _COUNTERS.sub("", line.rstrip())
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
