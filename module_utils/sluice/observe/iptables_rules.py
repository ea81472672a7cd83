"""Rules as iptables-save prints them, taken apart; and the tables of a dump, chain by chain as they are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)")
_COMMENT = re.compile(r'--comment (?:"((?:[^"\\]|\\.)*)"|(\S+))')
_TARGET = re.compile(r"(?:^| )-([jg]) (\S+)")

_WORDS = {
    **dict.fromkeys(("-s", "-d", "-p", "-i", "-o", "--comment", "--probability", "--mode"), 1),
    **dict.fromkeys(("--match-set", "--tcp-flags"), 2),
}
"""How many words follow an option (iptables-extensions(8)). Of all others: as many as are no option."""


class Match(NamedTuple):
    """One thing that a rule asks: an option with its words; ``module`` has it (``-m``), none those of one letter."""

    module: str
    option: str
    words: tuple[str, ...]
    negated: bool


class Target(NamedTuple):
    """What a rule does: a target or a chain, ``""`` for nothing, and the target's options."""

    name: str
    goto: bool
    options: Mapping[str, tuple[str, ...]]


def words(text: str) -> list[str]:
    """The words of a rule. Quotes are iptables-save's, and what is quoted is escaped by backslashes."""
    return [found[2] or _ESCAPED.sub(r"\1", found[1] or "") for found in _WORD.finditer(text)]


def comment(text: str) -> str:
    """The (first) comment of a rule."""
    found = _COMMENT.search(text)
    return _ESCAPED.sub(r"\1", found[1] or found[2] or "") if found else ""


def target_name(text: str) -> str:
    """The target or chain of a rule, ``""`` for none."""
    _before, jump, rest = text.rpartition(" -j ")
    if jump and '"' not in rest:
        return rest.partition(" ")[0]
    found = _TARGET.search(_COMMENT.sub("", text))
    return found[2] if found else ""


def taken_apart(text: str) -> tuple[tuple[Match, ...], Target]:
    """What a rule asks and what it does. What is not known is kept as it stands; comments are left out."""
    left = words(text)
    matches: list[Match] = []
    module, negated, at = "", False, 0
    while at < len(left):
        word = left[at]
        at += 1
        if word in ("-j", "-g"):
            return tuple(matches), Target(left[at] if at < len(left) else "", word == "-g", _options(left[at + 1 :]))
        if word == "!":
            negated = True
        elif word == "-m":
            module = left[at] if at < len(left) else ""
            at += 1
        else:
            count = _WORDS.get(word)
            end = at + count if count is not None else next(_ends(left, at))
            if word != "--comment":
                matches.append(Match(module if word.startswith("--") else "", word, tuple(left[at:end]), negated))
            at, negated = end, False
    return tuple(matches), Target("", False, {})


def _ends(left: Sequence[str], at: int) -> Iterator[int]:
    """Where the words of an option end."""
    for place in range(at, len(left)):
        if left[place] == "!" or left[place].startswith("-"):
            yield place
    yield len(left)


def _options(left: Sequence[str]) -> dict[str, tuple[str, ...]]:
    options: dict[str, tuple[str, ...]] = {}
    name = ""
    for word in left:
        if word.startswith("--"):
            name = word
            options[name] = ()
        elif name:
            options[name] = (*options[name], word)
    return options


class Tables:
    """The tables of one ``iptables-save``: the text of each chain's rules, and the policies of built-in ones.

    ``is_piece``: it is a part of a table that somebody has cut out, so that what is not in it may be there.
    """

    def __init__(self, text: str, *, is_piece: bool = False) -> None:
        self.is_piece = is_piece
        self.rules: dict[str, dict[str, list[str]]] = {}
        self.policies: dict[tuple[str, str], str] = {}
        self.declared: dict[str, set[str]] = {}
        """Chains with a line of their own, as ``iptables-save`` prints all of them."""
        self.stray: list[str] = []
        """Lines behind a table's end."""
        chains: dict[str, list[str]] = {}
        declared: set[str] = set()
        table, ended = "", False
        for line in text.splitlines():
            first = line[:1]
            if ended and first in ("-", "[", ":"):
                self.stray.append(line)
            elif first == "-" or first == "[":
                _counters, _a, rest = line.partition("-A ")
                chain, _blank, rule = rest.partition(" ")
                held = chains.get(chain)
                if held is None:
                    held = chains[chain] = []
                held.append(rule)
            elif first == ":":
                chain, _blank, policy = line[1:].partition(" ")
                chains.setdefault(chain, [])
                declared.add(chain)
                if not policy.startswith("-"):
                    self.policies[table, chain] = policy.partition(" ")[0].lower()
            elif first == "*":
                table = line[1:].strip()
                chains = self.rules.setdefault(table, {})
                declared = self.declared.setdefault(table, set())
                ended = False
            elif first == "C":
                ended = True

    def chain(self, table: str, name: str) -> Sequence[str] | None:
        """The rules of a chain; None where it is not there."""
        return self.rules.get(table, {}).get(name)
