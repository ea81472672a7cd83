"""The UDP front ends of a table: where clients send to, and the endpoints behind it."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator

from ..interface import Frontend, Frontends
from .layout import SERVICE_MASK, of_class_id
from .netlink import Change
from .text import Table

_SLOTS = ("slots-udp", "sticky", "sticky-local")
_MAYBE_UDP = frozenset((*_SLOTS, "addresses", "node-ports", "host-ports", "host-ports-at"))


def frontends(table: Table) -> Frontends:
    """Those of all Services and host ports, from the lines of their elements."""
    behind: dict[int, set[tuple[str, int]]] = collections.defaultdict(set)
    for name in _SLOTS:
        for key, value in _lines(table, name):
            behind[_service(key.partition(" . ")[0])].add(_endpoint(value))
    found: Frontends = {}
    for name, at_address in (("addresses", True), ("node-ports", False)):
        for key, value in _lines(table, name):
            where = _frontend(key, at_address)
            if where:
                found[where] = behind[_service(value)]
    for name, at_address in (("host-ports-at", True), ("host-ports", False)):
        for key, value in _lines(table, name):
            where = _frontend(key, at_address)
            if where:
                found.setdefault(where, {_endpoint(value)})
    return found


def touch_udp(changes: Iterable[Change]) -> bool:
    """Whether changes may be about UDP; of a sticky Service's endpoints the protocol is not known."""
    return any(change.name in _MAYBE_UDP for change in changes)


def _lines(table: Table, name: str) -> Iterator[tuple[str, str]]:
    """Key and value of each element of a map, without its comment."""
    piece = table.elements.get(name)
    for line in str(piece).splitlines() if piece else ():
        key, _colon, value = line[1:-1].partition(" : ")
        yield key.partition(" comment ")[0], value


def _frontend(key: str, at_address: bool) -> Frontend | None:
    *address, protocol, port = key.split(" . ")
    return Frontend(address[0] if at_address else "", int(port)) if protocol == "udp" else None


def _service(class_id: str) -> int:
    """What of a register is the Service's."""
    return of_class_id(class_id) & SERVICE_MASK


def _endpoint(value: str) -> tuple[str, int]:
    address, _dot, port = value.partition(" . ")
    return address, int(port)
