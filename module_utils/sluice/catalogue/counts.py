"""How many Services a compiled catalogue has, and how many another one changes: read without the form of each field.

For a node that asks after what it applied: the text was sealed, and what is read here is only told to people. An apply
asks as well, so this imports nothing that a rendering needs, and takes a tenth of a full reading.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .model import Catalogue, Endpoint, EndpointSlice, Service

_SLICES, _ENDPOINTS = Service._fields.index("slices"), EndpointSlice._fields.index("endpoints")
_READY = Endpoint._fields.index("ready")
_SERVICES, _HOST_PORTS = Catalogue._fields.index("services"), Catalogue._fields.index("host_ports")

_FAULTS = (ValueError, TypeError, IndexError, RecursionError)


class Counts(NamedTuple):
    """How many there are of each. ``ready`` are among the ``endpoints``."""

    services: int
    host_ports: int
    endpoints: int
    ready: int

    @property
    def text(self) -> str:
        """``12 Services``, with the host ports where there are some."""
        host_ports = f", {several(self.host_ports, 'host port')}" if self.host_ports else ""
        return several(self.services, "Service") + host_ports


def several(number: int, thing: str) -> str:
    """``1 Service``, ``2 Services``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def counts(text: str | None) -> Counts | None:
    """Those of a compiled catalogue; None where there is none, or another release compiled it."""
    try:
        found = _rows(text)
        if found is None:
            return None
        endpoints = [each for row in found[_SERVICES] for piece in row[_SLICES] for each in piece[_ENDPOINTS]]
        ready = sum(each[_READY] is True for each in endpoints)
        return Counts(len(found[_SERVICES]), len(found[_HOST_PORTS]), len(endpoints), ready)
    except _FAULTS:
        return None


def difference(before: str | None, after: str | None) -> str:
    """What ``after`` changes by Service: ``2 Services added, 1 removed``, or ``the same Services``.

    Without ``before``, what ``after`` has; ``""`` where that cannot be told.
    """
    try:
        new = _rows(after)
        old = new if before == after else _rows(before)
        if new is None:
            return ""
        if old is None:
            found = counts(after)
            return found.text if found else ""
        had, has = _by_name(old[_SERVICES]), _by_name(new[_SERVICES])
        numbers = {
            "added": len(has.keys() - had.keys()),
            "removed": len(had.keys() - has.keys()),
            "changed": sum(has[name] != had[name] for name in has.keys() & had.keys()),
        }
        words = [f"{number} {verb}" for verb, number in numbers.items() if number]
        if words:
            first, _blank, rest = words[0].partition(" ")
            words[0] = f"{several(int(first), 'Service')} {rest}"
        if old[_HOST_PORTS] != new[_HOST_PORTS]:
            words.append("other host ports")
        return ", ".join(words) or "the same Services"
    except _FAULTS:
        return ""


def _rows(text: str | None) -> Any:
    """The catalogue as lists in lists, None where it is none or has other fields. Raises what is in _FAULTS."""
    found = json.loads(text.partition("\n")[2][:-2]) if text else None
    if found is None or len(found) != len(Catalogue._fields):
        return None
    return found if all(len(row) == len(Service._fields) for row in found[_SERVICES]) else None


def _by_name(rows: list[list[Any]]) -> dict[tuple[str, str], list[Any]]:
    return {(row[0], row[1]): row for row in rows}
