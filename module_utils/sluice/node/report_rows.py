"""A node's service ports for a report: what the kernel holds of each, and what it has counted; pure.

A row is of a service port, ``shop/web:http`` by one protocol. It has a *group* for each address family, and for each
address whose endpoints are others (IPVS). ``fleet/rows.py`` reads what is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..addresses import host_port
from ..backends.interface import Count, Entry
from ..catalogue.model import Catalogue, Service
from ..catalogue.model import Endpoint as Declared
from ..observe.routes import Route, Routes
from ..observe.service_ports import Endpoint
from ..observe.service_ports import ServicePort as Programmed
from ..observe.snapshot import Snapshot
from ..outages import Outages
from .traffic import Counted, ServicePort, Traffic, port_at, ways

Row = dict[str, Any]

BY_CONNTRACK = "conntrack"
"""Instead of counters: how many connections conntrack has to each endpoint at the moment."""


class Held(NamedTuple):
    """What there is to tell. ``open``: connections that conntrack has, by entry and endpoint."""

    catalogue: Catalogue
    snapshot: Snapshot
    ports: Sequence[Programmed]
    traffic: Traffic
    outages: Outages
    open: Mapping[tuple[Entry, str], int]


def rows(held: Held) -> list[Row]:
    """Those of the catalogue in its order, then those that only the kernel has."""
    entries = ways(held.catalogue)
    groups = _groups(held, entries)
    open_ones: dict[str, dict[str, int]] = {}
    for (entry, where), count in held.open.items():
        at = port_at(entries, entry)
        if at:
            ends = open_ones.setdefault(_key(at), {})
            ends[where] = ends.get(where, 0) + count
    found = []
    for service in held.catalogue.services:
        for port in service.ports:
            own = ServicePort(service.namespace, service.name, port.name, port.protocol)
            key = _key(own)
            here = groups.pop(key, [])
            row = _row(own.text, own.protocol, service.type, here)
            row["absent"] = _absent(service, (port.name, port.protocol), here, held.outages)
            row["counted"] = _counted(held.traffic.get(own), open_ones.get(key, {}))
            found.append(row)
    for key, here in groups.items():
        name, _blank, protocol = key.rpartition(" ")
        found.append({**_row(name, protocol, "", here), "declared": False, "absent": [], "counted": None})
    return found


def _key(port: ServicePort) -> str:
    return f"{port.text} {port.protocol}"


def _row(name: str, protocol: str, kind: str, groups: Sequence[Row]) -> Row:
    return {"name": name, "protocol": protocol, "type": kind, "declared": True, "groups": list(groups)}


def _groups(held: Held, entries: Mapping[Entry, ServicePort]) -> dict[str, list[Row]]:
    """What the kernel has, by service port. IPVS knows no names: the catalogue has those of its addresses."""
    routes = Routes(held.snapshot)
    found: dict[str, list[Row]] = {}
    for port in held.ports:
        route = routes.of(port)
        at = (port_at(entries, Entry(way.address, port.protocol, way.port)) for way in route.ways)
        own = next(filter(None, at), None)
        first = route.ways[0] if route.ways else None
        name = port.name or (host_port(first.address or "*", first.port) if first else "?")
        key = _key(own) if own else f"{name} {port.protocol.upper()}"
        found.setdefault(key, []).append(_group(port, route))
    return found


def _group(port: Programmed, route: Route) -> Row:
    return {
        "source": port.source,
        "ways": list(map(list, route.ways)),
        "steps": list(map(list, route.steps)),
        "chooses": dict(route.chooses),
        "cluster": _shares(port.endpoints, route.chains),
        "local": _shares(port.local_endpoints, route.chains),
        "affinity": port.affinity_seconds,
        "ranges": list(port.source_ranges),
        "scheduler": route.scheduler,
    }


def _shares(endpoints: Iterable[Endpoint], chains: Mapping[str, str]) -> list[list[str]]:
    return [[each.text, str(each.share), chains.get(each.text, "")] for each in endpoints]


def _absent(service: Service, port: tuple[str, str], groups: Iterable[Row], outages: Outages) -> list[tuple[str, str]]:
    """Endpoints that are declared and get no new connections here, each with the reason."""
    serving = {each[0] for group in groups for part in ("cluster", "local") for each in group[part]}
    found = {}
    for piece in service.slices:
        for own in piece.ports:
            if (own.name, own.protocol) == port:
                for endpoint in piece.endpoints:
                    text = host_port(endpoint.address, own.port)
                    if text not in serving:
                        found[text] = _reason(endpoint, own.port, outages)
    return sorted(found.items())


def _reason(endpoint: Declared, port: int, outages: Outages) -> str:
    if endpoint.address in outages.drained:
        return "drained"
    asked = {number for address, number, _question in outages.down if address == endpoint.address}
    if asked and (port in asked or endpoint.ready):
        return "down"
    if endpoint.terminating:
        return "terminating"
    return "" if endpoint.ready else "not ready"


def _counted(counted: Counted | None, flows: Mapping[str, int]) -> Row | None:
    if counted is None:
        return None
    found: Row = {"total": list(counted.total), "whole": counted.whole}
    if counted.endpoints or not flows:
        return {**found, "by": "", "ends": {where: list(count) for where, count in counted.endpoints.items()}}
    return {**found, "by": BY_CONNTRACK, "ends": {where: list(Count(count)) for where, count in flows.items()}}
