"""What ``sysctl -a``, ``lsmod``, ``ip neighbour`` and ``iptables -S`` print: what a node's rules need besides them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .iptables_chains import BUILT_IN

SYSCTL = re.compile(r"[a-z][\w-]*(?:[./][\w@-]+)+ ?= ?.*", re.ASCII)
MODULES = re.compile(r"Module +Size +Used by|\w+ +\d+ +\d+(?: .*)?", re.ASCII)
NEIGHBOUR = re.compile(r"([0-9a-f.:]+) dev \S+(?: +lladdr \S+)?(?: +\w+)* +[A-Z]+", re.ASCII)
LISTED = re.compile(r"-P [A-Z]+ [A-Z]+|-N \S+")

_DEAD = (" FAILED", " INCOMPLETE")
_COUNTERS = re.compile(r" -c \d+ \d+")
_TABLES = {
    frozenset(("PREROUTING", "OUTPUT")): "raw",
    frozenset(("PREROUTING", "OUTPUT", "POSTROUTING")): "nat",
    frozenset(("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")): "nat",
    frozenset(("INPUT", "FORWARD", "OUTPUT")): "filter",
    frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")): "mangle",
}
"""A table by its built-in chains, all of which ``-S`` prints first; ``security`` has those of filter."""


def sysctls(text: str) -> dict[str, str]:
    """Values by name; those that ``sysctl`` could not read it says elsewhere."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


def modules(text: str) -> frozenset[str]:
    """The modules that ``lsmod`` lists, or ``/proc/modules``."""
    return frozenset(line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("Module "))


def dead_neighbours(text: str) -> frozenset[str]:
    """The addresses that do not answer on the node's own links."""
    found = ((NEIGHBOUR.match(line.strip()), line.rstrip()) for line in text.splitlines())
    return frozenset(match[1] for match, line in found if match and line.endswith(_DEAD))


def saved(text: str) -> str:
    """What ``iptables -S`` printed for one table or several (``-t``), in the form of ``iptables-save``.

    Rules of chains that somebody picked out, without the policies of built-in ones, are of no table: they stand without
    a line that says it.
    """
    return "".join(f"{line}\n" for group in _groups(text) for line in _table(group))


def _groups(text: str) -> Iterator[list[str]]:
    """The lines of each table: it begins with the policies of its built-in chains."""
    group: list[str] = []
    for line in text.splitlines():
        if line.startswith("-P ") and group and not _follows(group[-1], line):
            yield group
            group = []
        if line.startswith("-"):
            group.append(line)
    yield group


def _follows(before: str, line: str) -> bool:
    """Whether two policies are of one table, of which the hooks come in the order in which packets meet them."""
    hooks = [each.split()[1] for each in (before, line) if each.startswith("-P ") and each.count(" ") > 1]
    return (
        len(hooks) > 1
        and all(hook in BUILT_IN for hook in hooks)
        and BUILT_IN.index(hooks[0]) < BUILT_IN.index(hooks[1])
    )


def _table(lines: list[str]) -> Iterator[str]:
    policies = {line.split()[1]: line.split()[2] for line in lines if line.startswith("-P ") and line.count(" ") > 1}
    name = _TABLES.get(frozenset(policies), "")
    if name:
        yield f"*{name}"
    yield from (f":{chain} {policy} [0:0]" for chain, policy in policies.items())
    for line in lines:
        if line.startswith("-N "):
            yield f":{line[3:].strip()} - [0:0]"
        elif line.startswith("-A "):
            yield _COUNTERS.sub("", line)
    if name:
        yield "COMMIT"
