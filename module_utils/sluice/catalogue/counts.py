"""How many Services a compiled catalogue has, and how many another one changes: read without the form of each field.

For a node that asks after what it applied: the text was sealed, and what is read here is only told to people. An apply
asks as well, so this imports nothing that a rendering needs, and takes a tenth of a full reading.
"""

from __future__ import annotations

import functools
import json
import re
from itertools import repeat
from typing import Any, NamedTuple

from ..lines import shared
from .model import Catalogue, Endpoint, EndpointSlice, Ingress, Service, ServicePort

_SLICES, _ENDPOINTS = Service._fields.index("slices"), EndpointSlice._fields.index("endpoints")
_IPS, _EXTERNAL_IPS, _PORTS, _INGRESSES = (
    Service._fields.index(name) for name in ("cluster_ips", "external_ips", "ports", "ingress")
)
_ADDRESS, _READY, _STILL_SERVING, _TERMINATING = (
    Endpoint._fields.index(name) for name in ("address", "ready", "serving", "terminating")
)
_SERVICES, _HOST_PORTS, _IDLE = (Catalogue._fields.index(name) for name in ("services", "host_ports", "idle"))

Row = list[Any]
"""A Service of ``model``, as a list in lists."""

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


def outline(text: str | None) -> Catalogue | None:
    """The Services of a compiled catalogue with their names, addresses, ports and endpoints alone.

    None where there is none, another release compiled it, or these fields have other values than they may have.
    """
    try:
        rows = _rows(text)
        if rows is None:
            return None
        services = rows[_SERVICES]
        ports = [port for row in services for port in row[_PORTS]]
        ingresses = [ingress for row in services for ingress in row[_INGRESSES]]
        endpoints = [each for row in services for piece in row[_SLICES] for each in piece[_ENDPOINTS]]
        for kind, found in ((ServicePort, ports), (Ingress, ingresses), (Endpoint, endpoints)):
            if set(map(len, found)) - {len(kind._fields)}:
                return None
        words = [word for row in services for word in (row[0], row[1], *row[_IPS], *row[_EXTERNAL_IPS])]
        words += [word for name, protocol, *_more in ports for word in (name, protocol)]
        words += [ingress[0] for ingress in ingresses]
        numbers = [number for _name, _protocol, port, _target, node_port in ports for number in (port, node_port)]
        sound = {*map(type, words)} <= {str} and {*map(type, numbers)} <= {int}
        return Catalogue(tuple(map(_outline, services))) if sound else None
    except _FAULTS:
        return None


def _outline(row: Row) -> Service:
    """A Service whose rows are as long as they have to be."""
    slices = [(family, (), tuple(map(_new, repeat(Endpoint), each))) for family, _ports, each in row[_SLICES]]
    return Service(
        namespace=row[0],
        name=row[1],
        type=row[2],
        cluster_ips=tuple(row[_IPS]),
        ports=tuple(map(_new, repeat(ServicePort), row[_PORTS])),
        slices=tuple(map(_new, repeat(EndpointSlice), slices)),
        external_ips=tuple(row[_EXTERNAL_IPS]),
        ingress=tuple(map(_new, repeat(Ingress), row[_INGRESSES])),
    )


_new = tuple.__new__
"""A row costs little more than its own tuple."""


def serving(text: str | None) -> dict[str, str]:
    """The addresses of endpoints that are given connections, each with the first Service (``namespace/name``) it is of.

    No address where there is no catalogue, or another release compiled it.
    """
    found: dict[str, str] = {}
    try:
        rows = _rows(text)
        for row in rows[_SERVICES] if rows else ():
            for each in (each for piece in row[_SLICES] for each in piece[_ENDPOINTS]):
                if each[_READY] or (each[_STILL_SERVING] and each[_TERMINATING]):
                    found.setdefault(each[_ADDRESS], f"{row[0]}/{row[1]}")
    except _FAULTS:
        return {}
    return found


def difference(before: str | None, after: str | None) -> str:
    """What ``after`` changes by Service: ``2 Services added, 1 removed``, or ``the same Services``.

    Those that program no rules are among them. Without ``before``, what ``after`` has; ``""`` where it cannot be told.
    """
    try:
        if before and after and before != after:
            part = _part(before, after)
            if part:
                return _words(*part) or "the same Services"
        new, old = _rows(after), _rows(before)
        if new is None:
            return ""
        if old is None:
            found = counts(after)
            return found.text if found else ""
        words = _words(old[_SERVICES] + old[_IDLE], new[_SERVICES] + new[_IDLE])
        host_ports = "other host ports" if old[_HOST_PORTS] != new[_HOST_PORTS] else ""
        return ", ".join(each for each in (words, host_ports) if each) or "the same Services"
    except _FAULTS:
        return ""


def _words(before: list[Row], after: list[Row]) -> str:
    had, has = ({(row[0], row[1]): row for row in rows} for rows in (before, after))
    numbers = {
        "added": len(has.keys() - had.keys()),
        "removed": len(had.keys() - has.keys()),
        "changed": sum(has[name] != had[name] for name in has.keys() & had.keys()),
    }
    words = [f"{number} {verb}" for verb, number in numbers.items() if number]
    if not words:
        return ""
    number, _blank, verb = words[0].partition(" ")
    return ", ".join([f"{several(int(number), 'Service')} {verb}", *words[1:]])


@functools.lru_cache(maxsize=1)  # who counts asks for the endpoints as well; nobody changes what is given
def _rows(text: str | None) -> Any:
    """The catalogue as lists in lists, None where it is none or has other fields. Raises what is in _FAULTS."""
    found = json.loads(_body(text)[:-2]) if text else None
    if found is None or len(found) != len(Catalogue._fields):
        return None
    return found if all(len(row) == len(Service._fields) for row in found[_SERVICES]) else None


def _body(text: str) -> str:
    """The second line; the first one has a digest of it."""
    return text.partition("\n")[2]


_BEGINS = re.compile(r'\["[^"\\]*","[^"\\]*","[A-Za-z]*",\[')
"""How the row of a Service begins: namespace, name, type, and the list of its cluster IPs. No other row does."""


def _part(before: str, after: str) -> tuple[list[Row], list[Row]] | None:
    """The Services between what is the same at both ends: most changes are small, and reading all takes its time.

    None where they are not among Services, or up to the last one.
    """
    before, after = _body(before), _body(after)
    shortest = min(len(before), len(after))
    same = shared(shortest, lambda low, high: before[low:high] == after[low:high])
    start = after.rfind('["', 0, same)
    while start >= 0 and not _BEGINS.match(after, start):
        start = after.rfind('["', 0, start + 1)
    had, has = len(before), len(after)
    end = shared(shortest - same, lambda low, high: before[had - high : had - low] == after[has - high : has - low])
    following = _BEGINS.search(after, has - end)
    if start < 0 or not following:
        return None
    ends = (following.start() - has + had, following.start())
    try:
        old, new = (json.loads(f"[{text[start : end - 1]}]") for text, end in zip((before, after), ends))
    except ValueError:
        return None
    return (old, new) if all(len(row) == len(Service._fields) for row in old + new) else None
