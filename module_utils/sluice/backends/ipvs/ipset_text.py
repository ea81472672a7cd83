"""IP sets, and their text as ``ipset save`` prints it and ``ipset restore`` takes it (ipset(8))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

MAXELEM = 65536
"""How many members a hash set holds if nobody says otherwise."""


class IpSet(NamedTuple):
    """One set. ``header``: its type and what belongs to that, ``hash:ip,port family inet``; ``maxelem``: 0 for bitmaps.

    ``nomatch``: the members that are exceptions. What lies in such a network, and in no smaller one that is a member,
    is not in the set. Timeouts, counters, comments and what is given to packets (``skbmark``) are left out.

    Other sizes and hash seeds that ``ipset save`` prints are left out: the kernel's own, and no two sets are alike.
    """

    header: str
    members: tuple[str, ...] = ()
    maxelem: int = 0
    nomatch: frozenset[str] = frozenset()

    @property
    def create(self) -> str:
        """What follows ``create NAME``. The size stands there only where the default would be too small."""
        return f"{self.header} maxelem {self.maxelem}" if self.maxelem > MAXELEM else self.header

    @property
    def matching(self) -> tuple[str, ...]:
        """The members that are no exceptions."""
        return tuple(each for each in self.members if each not in self.nomatch) if self.nomatch else self.members


Sets = dict[str, IpSet]
"""Sets by name."""

_LEFT_OUT = ("hashsize", "maxelem", "bucketsize", "initval", "timeout", "markmask")


_ALONE = ("nomatch", "wildcard")
"""Options of a member that have no word behind them."""

_QUOTED = re.compile(r'"[^"]*"')
"""Comments, in which anything may stand."""


class TextError(ValueError):
    """Text is not in ``ipset save`` form; the message says which line."""


def ip_set(header: str, members: Iterable[str]) -> IpSet:
    """A set with ``members``, each once, that is large enough for them."""
    held = tuple(dict.fromkeys(members))
    if not header.startswith("hash:"):
        return IpSet(header, held)
    size = MAXELEM
    while size < len(held):
        size *= 2
    return IpSet(header, held, size)


def parse(text: str) -> Sets:
    """Read what ``ipset save`` printed, or a file for ``ipset restore``; the order of the lines does not matter."""
    created: dict[str, tuple[str, int]] = {}
    members: dict[str, dict[str, None]] = {}
    nomatch: dict[str, set[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = (_QUOTED.sub("-", line) if '"' in line else line).split()
        if not words or line.startswith("#"):
            continue
        if words[0] == "create" and len(words) > 2:
            created[words[1]] = _created(words[2:])
        elif words[0] == "add" and len(words) > 2:
            members.setdefault(words[1], {})[words[2]] = None
            if len(words) > 3 and "nomatch" in _options(words[3:]):
                nomatch.setdefault(words[1], set()).add(words[2])
        else:
            raise TextError(f"line {number}: not in ipset save form: {line}")
    for name in members.keys() - created.keys():
        raise TextError(f"there are members of {name}, which is not created")
    return {
        name: IpSet(header, tuple(members.get(name, ())), size, frozenset(nomatch.get(name, ())))
        for name, (header, size) in created.items()
    }


def difference(old: str, new: str) -> tuple[Sets, Sets]:
    """The sets of two texts without the members that stand in both: of thousands, few change at a time."""
    lines = old.splitlines(), new.splitlines()
    there = [set(each) for each in lines]
    rest = [
        "\n".join(line for line in each if line not in other or line.startswith("create "))
        for each, other in zip(lines, reversed(there))
    ]
    have, want = map(parse, rest)
    if any(name in have and have[name].maxelem < wanted.maxelem for name, wanted in want.items()):
        return parse(old), parse(new)  # a larger set takes its place, with all of its members
    return have, want


def _options(words: list[str]) -> Iterator[str]:
    """The options of a member, without the words that belong to them."""
    left = iter(words)
    for word in left:
        yield word
        if word not in _ALONE:
            next(left, "")


def _created(words: list[str]) -> tuple[str, int]:
    kept: list[str] = []
    size = MAXELEM if words[0].startswith("hash:") else 0
    options = iter(words)
    for word in options:
        if word in _LEFT_OUT:
            value = next(options, "")
            if word == "maxelem" and value.isdigit():
                size = int(value)
        else:
            kept.append(word)
    return " ".join(kept), size


def text(sets: Mapping[str, IpSet]) -> str:
    """The sets in ``ipset save`` form; ``parse`` of it gives the sets again."""
    return "".join(
        f"create {name} {held.create}\n"
        + "".join(f"add {name} {member}{' nomatch' if member in held.nomatch else ''}\n" for member in held.members)
        for name, held in sets.items()
    )
