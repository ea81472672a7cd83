"""UDP flows that a change leaves behind: UDP has no end, so conntrack keeps sending to an endpoint that is gone."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Sequence

from .. import addresses
from ..backends import registry
from ..backends.interface import Files, Frontend, Frontends
from ..system import conntrack, links
from ..system.conntrack import Flow
from ..system.tools import NodeError
from . import files
from .files import Wanted


def forget(before: Sequence[Files], wanted: Wanted, warnings: list[str]) -> int:
    """Delete the UDP flows that are left of what was ``before``; returns how many.

    A kernel that does not tell them gives a warning.
    """
    count = 0
    try:
        local = frozenset(links.own_addresses(links.prefixes(), registry.devices()))
        for family in wanted.settings["ip_families"] or addresses.FAMILIES:
            flows = conntrack.udp_flows(family)
            new = _frontends(wanted.contents, family) if flows else {}
            left: dict[bytes, Flow] = {}
            for contents in before if flows else ():
                moved = bool(contents) and files.parse(contents).layers != wanted.layers
                found = stale(flows, _frontends(contents, family), new, local, moved=moved)
                left.update((flow.words, flow) for flow in found)
            count += conntrack.delete(left.values(), family)
    except NodeError as error:
        warnings.append(str(error))
    return count


def _frontends(contents: Files, family: str) -> Frontends:
    """The UDP front ends that files hold, of all layers."""
    found: Frontends = {}
    for layer in registry.layers():
        found.update(layer.frontends(files.own(contents, layer), family))
    return found


def stale(
    flows: Iterable[Flow], before: Frontends, after: Frontends, local: Collection[str], *, moved: bool = False
) -> list[Flow]:
    """The flows that a change leaves behind, on a node with the addresses ``local``.

    Those to endpoints that their front end does not have any more, also where the front end is gone; and those that
    nobody translated, of a front end that has endpoints now and had none. No others.

    ``moved``: another backend serves now, so all flows that the former one translated are left over.
    """

    @functools.cache
    def is_stale(destination: str, port: int, reply_source: str, reply_port: int) -> bool:
        keys = [Frontend(destination, port)]
        if destination in local:
            keys.append(Frontend("", port))
        backend = (reply_source, reply_port)
        had = set().union(*(before.get(key, ()) for key in keys))
        has = set().union(*(after.get(key, ()) for key in keys))
        untranslated = backend == (destination, port)
        return (backend in had and (moved or backend not in has)) or bool(untranslated and has and not had)

    return [flow for flow in flows if is_stale(*flow[:4])]
