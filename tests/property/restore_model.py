"""What ``iptables-restore --noflush`` does, as a pure function: a model to run plans on.

It is stricter than the tool: a rule may only lead to a chain that is there when its line is read, and a chain goes only
when it is empty and nothing leads to it. A transaction that fails changes nothing, a table at a time.
"""

from __future__ import annotations

import copy

from sluice.backends.iptables.ownership import target_of
from sluice.backends.iptables.text import BUILT_IN, RuleSet

TARGETS = {"ACCEPT", "DROP", "RETURN", "REJECT", "LOG", "MARK", "DNAT", "SNAT", "MASQUERADE", "NOTRACK", ""}


class RestoreError(Exception):
    """The tool would have refused a line."""


def restore(kernel: RuleSet, text: str) -> RuleSet:
    """``kernel`` after ``text`` was sent to it."""
    result = copy.deepcopy(kernel)
    name, table = "", None
    for line in text.splitlines():
        if line.startswith("*"):
            name = line[1:]
            table = copy.deepcopy(result.get(name, {}))
            for chain in BUILT_IN[name]:
                table.setdefault(chain, [])
        elif table is None:
            raise RestoreError(f"outside of a table: {line}")
        elif line == "COMMIT":
            result[name], table = table, None
        else:
            _apply(table, line, BUILT_IN[name])
    if table is not None:
        raise RestoreError("no COMMIT")
    return result


def _apply(table: dict[str, list[str]], line: str, built_in: tuple[str, ...]) -> None:
    if line.startswith(":"):
        chain = line[1:].split()[0]
        if chain in built_in:
            raise RestoreError(f"a built-in chain is shared: {line}")
        table[chain] = []
        return
    verb, chain, *rest = line.split(" ", 2)
    rule = rest[0] if rest else ""
    if chain not in table:
        raise RestoreError(f"no chain: {line}")
    rules = table[chain]
    if verb == "-X":
        if rules or any(target_of(other) == chain for lines in table.values() for other in lines):
            raise RestoreError(f"in use: {line}")
        del table[chain]
    elif verb == "-D":
        if rule not in rules:
            raise RestoreError(f"no such rule: {line}")
        rules.remove(rule)
    elif verb in ("-A", "-I"):
        place = len(rules)
        if verb == "-I":
            number, _, rule = rule.partition(" ")
            place = int(number) - 1
        if place > len(rules):
            raise RestoreError(f"no such place: {line}")
        target = target_of(rule)
        if target not in TARGETS and target not in table:
            raise RestoreError(f"leads nowhere: {line}")
        rules.insert(place, rule)
    else:
        raise RestoreError(f"not a line of a plan: {line}")
