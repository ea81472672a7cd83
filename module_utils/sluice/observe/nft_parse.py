"""Tables in nft(8)'s language, as ``nft list ruleset`` prints them and files for ``nft -f`` have them. Pure.

What comes of them is the listing that ``nft -j list ruleset`` gives of the same (libnftables-json(5)), as far as
packets ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from .nft_expressions import element, literal, seconds, wanted_of_one
from .nft_lexer import END, Lexer, NftError, Words, string
from .nft_statements import rule

_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
_FAMILIES = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
_OF_IPTABLES = re.compile(r"^# Warning: table (\w+) (\S+) is managed by iptables-nft", re.MULTILINE)
_WORDS = r'[^\s",{}:#][^\s",{}#]*(?: \. [^\s",{}#]+)*'
_PLAIN = re.compile(
    rf'\s*({_WORDS})(?: comment "([^"\n]*)")?(?: : (?:(goto|jump) )?({_WORDS}))?\s*(?:,|\Z)',
)
_ELEMENT = re.compile(r'((?:[^",]|"[^"\n]*")*)(?:,|\Z)')
_VERDICTS = ("accept", "drop", "return", "continue")

Entry = dict[str, Any]


def listing(text: str) -> list[Entry]:
    """The tables, chains, rules, sets and maps in a text; without the tables of iptables-nft.

    Raises NftError, with the line.
    """
    lexer = Lexer(text)
    found: dict[tuple[str, str], list[Entry]] = {}
    lexer.skip("\n", ";")
    while lexer.word != END:
        _command(lexer, found)
        lexer.skip("\n", ";")
    foreign = {(each[1], each[2]) for each in _OF_IPTABLES.finditer(text)}
    return [entry for table, entries in found.items() if table not in foreign for entry in entries]


def _command(lexer: Lexer, found: dict[tuple[str, str], list[Entry]]) -> None:
    word = lexer.next()
    if word == "add" and lexer.word == "element":
        lexer.next()
        table, name = _named(lexer), string(lexer.next())
        sets = [of for each in found.get(table, ()) for of in each.values() if of.get("name") == name and "type" in of]
        if not sets:
            raise lexer.fault(f"there is no set {name} in table {' '.join(table)}")
        sets[0].setdefault("elem", []).extend(_elements(lexer))
    elif word == "delete" and lexer.word == "table":
        lexer.next()
        found.pop(_named(lexer), None)
    elif word == "table":
        table = _named(lexer)
        entries = found.setdefault(table, [{"table": dict(zip(("family", "name"), table))}])
        if lexer.word == "{":
            lexer.next()
            entries += _table(lexer, *table)
    elif word != "flush" or lexer.line() != ["ruleset"]:
        raise lexer.fault(f"{word!r} is nothing that a table has")
    else:
        found.clear()


def _named(lexer: Lexer) -> tuple[str, str]:
    family = lexer.next() if lexer.word in _FAMILIES else "ip"
    if lexer.word in ("\n", "{", END):
        raise lexer.fault("a table has no name")
    return family, string(lexer.next())


def _table(lexer: Lexer, family: str, table: str) -> Iterator[Entry]:
    """The parts of a table, up to its end."""
    rules: list[Entry] = []
    while True:
        lexer.skip("\n", ";")
        if lexer.word == "}":
            lexer.next()
            break
        kind = lexer.next()
        if kind == END:
            raise lexer.fault("the table has no end")
        if kind in ("comment", "flags"):
            lexer.line()
            continue
        names = []
        while lexer.word not in ("{", "\n", END):
            names.append(string(lexer.next()))
        of: Entry = {"family": family, "name": " ".join(names), "table": table}
        if kind == "chain":
            rules += _chain(lexer, of)
            yield {kind: of}
        elif kind in ("set", "map"):
            _set(lexer, of, kind)
            yield {kind: of}
        else:  # flowtables, counters, quotas, helpers: no packet asks for what is in them
            lexer.skip_block()
    yield from rules


def _chain(lexer: Lexer, chain: Entry) -> Iterator[Entry]:
    place = {"family": chain["family"], "table": chain["table"], "chain": chain["name"]}
    for _line in _each_line(lexer):
        line = lexer.line()
        if line[0] == "type" and "hook" in line:
            chain.update(_base(lexer, line))
        elif line[0] == "policy" and len(line) == 2:
            chain["policy"] = line[1]
        elif line[0] != "comment":
            statements, comment = rule(line)
            said = {"comment": comment} if comment else {}
            yield {"rule": {**place, **said, "expr": statements}}


def _each_line(lexer: Lexer) -> Iterator[None]:
    """Come to each line of a block, which whoever asks has to read, up to the block's end."""
    lexer.expect("{")
    while True:
        lexer.skip("\n", ";")
        if lexer.word == "}":
            lexer.next()
            return
        if lexer.word == END:
            raise lexer.fault("a brace is not closed")
        yield


def _base(lexer: Lexer, line: Sequence[str]) -> Entry:
    """``type nat hook prerouting priority dstnat - 10``."""
    try:
        kind, hook, at = line[1], line[line.index("hook") + 1], line.index("priority") + 1
        name, *more = line[at:]
        priority = _PRIORITIES[name] if name in _PRIORITIES else int(name)
        if more:
            priority += int("".join(more))
    except (ValueError, IndexError):
        raise lexer.fault(f"{' '.join(line)!r} is no type of a chain") from None
    return {"type": kind, "hook": hook, "prio": priority, "policy": "accept"}


def _set(lexer: Lexer, of: Entry, kind: str) -> None:
    of["type"] = ""
    if kind == "map":
        of["map"] = ""
    for _line in _each_line(lexer):
        if lexer.word == "elements":
            lexer.next()
            lexer.expect("=")
            of["elem"] = _elements(lexer)
            continue
        line = lexer.line()
        try:
            _property(of, line)
        except NftError as error:
            raise lexer.fault(str(error)) from None


def _property(of: Entry, line: Sequence[str]) -> None:
    """A line of a set's definition, of those that matter."""
    what, *words = line
    if what in ("type", "typeof"):
        key, _colon, value = " ".join(words).partition(" : ")
        parts = key.split(" . ")
        of["type"] = parts[0] if len(parts) == 1 else parts
        if value:
            of["map"] = value
    elif what == "size" and len(words) == 1 and words[0].isdigit():
        of[what] = int(words[0])
    elif what == "timeout" and words:
        of[what] = seconds(words[0])
    elif what == "flags":
        of[what] = [word for word in words if word != ","]


def _elements(lexer: Lexer) -> list[Any]:
    """The elements in braces. There may be many, and most are plain: those are read without looking at their words."""
    text = lexer.braces()
    found: list[Any] = []
    at = 0
    while at < len(text):
        plain = _PLAIN.match(text, at)
        if plain:
            found.append(_plain(*plain.groups()))
            at = plain.end()
            continue
        end = _ELEMENT.match(text, at)
        if end is None or end.end() == at:
            raise lexer.fault(f"not an element: {text[at : at + 60].strip()!r}")
        at = end.end()
        of = Lexer(end[1])
        of.skip("\n")
        if of.word != END:
            found.append(_element(of, lexer))
    return found


def _plain(key: str, comment: str | None, jump: str | None, value: str | None) -> Any:
    listed = _value(key)
    if comment is not None:
        listed = {"elem": {"val": listed, "comment": comment}}
    if value is None:
        return listed
    if jump:
        return [listed, {jump: {"target": value}}]
    return [listed, {value: None} if value in _VERDICTS else _value(value)]


def _value(words: str) -> Any:
    if " . " not in words:
        return literal(words)
    return {"concat": [literal(word) for word in words.split(" . ")]}


def _element(of: Lexer, within: Lexer) -> Any:
    words = Words(of.line())
    try:
        found = element(words, wanted_of_one)
    except NftError as error:
        raise within.fault(f"not an element: {words.rest(0)[:60]}: {error}") from None
    if words.word != END:
        raise within.fault(f"not an element: {words.rest(0)[:60]}")
    return found
