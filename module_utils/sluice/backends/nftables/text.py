"""``nftables.nft``: the tables of a node, as people read them and as ``nft -f`` loads them.

For each family the skeleton (sets, maps, chains), then the elements of each set, one a line::

    table ip sluice
    delete table ip sluice
    table ip sluice {
        map addresses {
                type ipv4_addr . inet_proto . inet_service : classid
    ...
    add element ip sluice addresses {
        10.96.0.10 . tcp . 80 comment "shop/web:http" : 8005:3001,
    }
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from ...lines import Piece, middles
from . import layout
from .layout import AFFINITY, FAMILIES, FLOWTABLE, MADE_OF, SHAPES, TABLE

FILE = "nftables.nft"

HEADER = "# Written by Sluice from the catalogue of Services: change that, not this file.\n"
_PART = re.compile(r"\t(?P<kind>map|set|flowtable|chain) (?P<name>[-a-z0-9]+) \{\n(?P<body>(?:\t\t.*\n)*)\t\}\n")
_SIZE = re.compile(r"^\t\tsize (\d+)\n", re.MULTILINE)
_GROWING = re.compile(rf"{_SIZE.pattern}(?!\t\tflags dynamic)", re.MULTILINE)
"""The size of a set that holds Services; how many clients are remembered is a setting."""

_DEVICES = re.compile(r"^\t\tdevices = \{ (.*) \}\n", re.MULTILINE)
_OFFLOADING = re.compile(rf"^.* flow add @{FLOWTABLE}\n", re.MULTILINE)


SETS = {name: "map" if shape.data else "set" for name, shape in SHAPES.items()} | {AFFINITY: "map", MADE_OF: "set"}
"""Which of the two each set is."""


class TextError(ValueError):
    """Text is not in the form of ``nftables.nft``; the message says what is not."""


class Skeleton(NamedTuple):
    """What of a table is no element, by name: the definitions of sets, maps and flowtables, and the rules of chains."""

    sets: Mapping[str, str]
    flowtables: Mapping[str, str]
    chains: Mapping[str, str]

    @property
    def sizes(self) -> dict[str, int]:
        """How many elements each set has room for."""
        found = {name: _SIZE.search(body) for name, body in self.sets.items()}
        return {name: int(size[1]) for name, size in found.items() if size}


class Table(NamedTuple):
    """The text of one family's table: its skeleton, and the lines of each set's elements."""

    skeleton: str
    elements: Mapping[str, Piece]


NO_TABLE = Table("", {})


def lines(elements: Iterable[str]) -> str:
    """The lines of elements in the text of a table."""
    return "".join([f"\t{line},\n" for line in elements])


def table(family: str, sets: Iterable[str], chains: Iterable[str], elements: Mapping[str, str]) -> str:
    """The text of a family's table, from the lines of its parts."""
    parts = "".join(f"{line}\n" for line in (*sets, *chains))
    return written(family, parts, elements)


def written(family: str, parts: str, elements: Mapping[str, str]) -> str:
    """The same from the text of its sets, maps and chains."""
    name = f"table {FAMILIES[family]} {TABLE}"
    # The first line makes the table where there is none, so that the second has one to delete.
    text = [f"{name}\ndelete {name}\n{name} {{\n{parts}}}\n"]
    for of, found in elements.items():
        if found:
            text.append(f"add element {FAMILIES[family]} {TABLE} {of} {{\n{found}}}\n")
    return "".join(text)


def tables(text: str) -> dict[str, Table]:
    """The table of each family that ``text`` has. Raises TextError."""
    found = {}
    at = len(HEADER) if text.startswith(HEADER) else 0
    while at < len(text):
        family = next((each for each, ip in FAMILIES.items() if text.startswith(f"table {ip} {TABLE}\n", at)), "")
        end = text.find("\n}\n", at) + len("\n}\n")
        if not family or end < len("\n}\n"):
            raise TextError(f"{FILE}: not a table of Sluice: {text[at : at + 60]!r}")
        skeleton, at = text[at:end], end
        elements: dict[str, Piece] = {}
        head = f"add element {FAMILIES[family]} {TABLE} "
        while text.startswith(head, at):
            begin = text.find(" {\n", at) + len(" {\n")
            name, at = text[at + len(head) : begin - len(" {\n")], text.find("\n}\n", begin - 1) + len("\n}\n")
            if name not in SHAPES or at < begin:
                raise TextError(f"{FILE}: not elements of Sluice: {text[begin : begin + 60]!r}")
            elements[name] = Piece(text, begin, at - len("}\n"))
        found[family] = Table(skeleton, elements)
    return found


def skeleton(text: str) -> Skeleton:
    """The parts of a table's skeleton. Raises TextError."""
    parts: dict[str, dict[str, str]] = {kind: {} for kind in ("map", "set", "flowtable", "chain")}
    begin = text.find(" {\n") + len(" {\n")
    at = begin
    while part := _PART.match(text, at):
        parts[part["kind"]][part["name"]] = part["body"]
        at = part.end()
    if text and text[at:] != "}\n":
        raise TextError(f"{FILE}: not a part of a table: {text[at : at + 60]!r}")
    return Skeleton({**parts["map"], **parts["set"]}, parts["flowtable"], parts["chain"])


def without_sizes(skeleton: str) -> str:
    """A skeleton without the room of its sets, as far as that grows with the catalogue."""
    return _GROWING.sub("", skeleton)


def devices(skeleton: str) -> list[str]:
    """The devices of the flowtable in a skeleton, sorted."""
    found = _DEVICES.search(skeleton)
    return sorted(name.strip('"') for name in found[1].split(", ")) if found else []


def with_devices(table: Table, there: Collection[str]) -> Table:
    """A table whose flowtable has only those of its devices that are ``there``: the kernel refuses any other one."""
    wanted = devices(table.skeleton)
    found = [name for name in wanted if name in there]
    if found == wanted:
        return table
    if found:
        line = f"\t\t{layout.devices(found)}\n"
        return table._replace(skeleton=_DEVICES.sub(line, table.skeleton))
    parts = table.skeleton.partition(f"\tflowtable {FLOWTABLE} {{\n")
    return table._replace(skeleton=_OFFLOADING.sub("", parts[0] + parts[2].partition("\t}\n")[2]))


def of_listing(family: str, listing: str, elements: Mapping[str, str]) -> str:
    """The text of a table from what ``nft -t list table`` printed of it, and the lines of its elements."""
    name = f"table {FAMILIES[family]} {TABLE}"
    _head, _brace, body = listing.partition(f"{name} {{\n")
    parts = body.replace("\n\n", "\n").rpartition("}")[0]
    return written(family, parts, elements)


def different(old: Table, new: Table) -> tuple[dict[str, str], dict[str, str]]:
    """The lines of elements that are in one of two tables and not in the other; their order does not count."""
    before, after = {}, {}
    nothing = Piece("", 0, 0)
    for name in SHAPES:
        pair = old.elements.get(name, nothing), new.elements.get(name, nothing)
        one, two = (str(piece).splitlines(keepends=True) for piece in middles(*pair))
        gone, come = set(one).difference(two), set(two).difference(one)
        before[name], after[name] = "".join(filter(gone.__contains__, one)), "".join(filter(come.__contains__, two))
    return before, after
