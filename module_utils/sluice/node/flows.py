"""Flows that a change leaves behind: UDP has no end, so conntrack keeps sending to an endpoint that is gone.

TCP connections end by themselves, but for those to an endpoint that does not answer any more.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping

from .. import addresses
from ..backends import registry
from ..backends.interface import Files, Frontend, Frontends
from ..system import conntrack, links
from ..system.conntrack import Way
from ..system.tools import NodeError
from . import files, outage
from .files import Wanted


def forget(before: Iterable[Files], wanted: Wanted, warnings: list[str]) -> int:
    """Delete the UDP flows that are left of what was ``before``; returns how many.

    What cannot be read, of the kernel's flows or of what was before, is a warning.
    """
    try:
        # Of both families whatever is wanted: those of one that is not wanted any more are left over too.
        tracked = {family: conntrack.udp_flows(family) for family in addresses.FAMILIES}
        tracked = {family: flows for family, flows in tracked.items() if flows}
        if not tracked:
            return 0
        local = frozenset(links.own_addresses(links.prefixes(), registry.devices()))
        new = _frontends(wanted, wanted.programmed, tracked)
        drained = outage.current().drained
        if drained:
            _put(new, _frontends(wanted, wanted.contents, tracked), drained)
        left: set[Way] = set()
        for contents in _each_once(before):
            try:
                # Where nothing was before, nothing has moved either.
                old = files.parse(contents, "what was before") if contents else wanted
                had = _frontends(old, contents, tracked)
            except NodeError as error:
                warnings.append(f"{error}: UDP flows may be left of it")
                continue
            moved = old.layers != wanted.layers
            for family, flows in tracked.items():
                left.update(stale(flows, had[family], new[family], local, moved=moved))
        return conntrack.delete(
            flow for flows in tracked.values() for way in flows.keys() & left for flow in flows[way]
        )
    except NodeError as error:
        warnings.append(str(error))
        return 0


def end(down: Collection[tuple[str, int]], reset: Container[tuple[str, int]]) -> int:
    """Delete TCP connections to endpoints (address, port) that are ``down``, where these never answered.

    Their clients send again, and come to another endpoint. Of those that are in ``reset`` as well all are deleted: what
    a client sends then is refused by whoever gets it. Returns how many. Raises NodeError.
    """
    found: list[bytes] = []
    for family in {addresses.family_of(address) for address, _port in down}:
        for way, flows in conntrack.tcp_connections(family).items():
            endpoint = (way.reply_source, way.reply_port)
            if endpoint in reset:
                found += flows
            elif endpoint in down:
                found += (flow for flow in flows if not conntrack.is_answered(flow))
    return conntrack.delete(found)


def _put(new: Mapping[str, Frontends], whole: Mapping[str, Frontends], drained: Container[str]) -> None:
    """Have the front ends the endpoints that are drained as well: their flows go on."""
    for family, frontends in whole.items():
        for key, endpoints in frontends.items():
            kept = {each for each in endpoints if each[0] in drained}
            if kept:
                new[family][key] = new[family].get(key, set()) | kept


def _each_once(before: Iterable[Files]) -> list[Files]:
    found: list[Files] = []
    for contents in before:
        if contents not in found:
            found.append(contents)
    return found


def _frontends(said: Wanted, contents: Files, families: Iterable[str]) -> dict[str, Frontends]:
    """The UDP front ends that files hold, of all layers, by family. Raises NodeError."""
    found: dict[str, Frontends] = {family: {} for family in families}
    with said.reading():
        for layer in registry.layers():
            for family, frontends in found.items():
                frontends.update(layer.frontends(files.own(contents, layer), family))
    return found


def stale(
    ways: Iterable[Way], before: Frontends, after: Frontends, local: Container[str], *, moved: bool = False
) -> list[Way]:
    """The ways of flows that a change leaves behind, on a node with the addresses ``local``.

    Those to endpoints that their front end does not have any more, also where the front end is gone; and those that
    nobody translated, of a front end that has endpoints now and had none. No others.

    ``moved``: another backend serves now, so all flows that the former one translated are left over.
    """
    found = []
    for way in ways:
        keys = [Frontend(way.destination, way.port)]
        if way.destination in local:
            keys.append(Frontend("", way.port))
        backend = (way.reply_source, way.reply_port)
        # Looked up, never joined: a front end may have thousands of endpoints, and each of them a way.
        had, has = [before.get(key, ()) for key in keys], [after.get(key, ()) for key in keys]
        gone = any(backend in each for each in had) and (moved or not any(backend in each for each in has))
        untranslated = backend == (way.destination, way.port)
        if gone or (untranslated and any(has) and not any(had)):
            found.append(way)
    return found
