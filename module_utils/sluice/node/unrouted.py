"""Endpoints that this node has no route to: whatever is sent to them is refused or lost here."""

from __future__ import annotations

from collections.abc import Mapping

from .. import addresses
from ..backends.interface import Files
from ..catalogue import counts
from ..system import routes
from .files import CATALOGUE_FILE, setting

_NAMED = 3
"""So many are named, the others counted."""

Unrouted = Mapping[str, str]
"""The addresses, each with a Service that sends to it."""


def unrouted(files: Files) -> Unrouted:
    """Those of the Services in a node's ``files``, of the address families that it serves."""
    serving = counts.serving(files.get(CATALOGUE_FILE))
    families = setting(files, "ip_families") or ()
    without = routes.without(address for address in serving if addresses.family_of(address) in families)
    return {address: serving[address] for address in without}


def warning(found: Unrouted, node: str = "this node") -> str:
    """The line that says so, ``""`` where there is none. ``node``: its name, where several are told of."""
    if not found:
        return ""
    named = ", ".join(f"{address} ({service})" for address, service in list(found.items())[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{node} has no route to {counts.several(len(found), 'endpoint')}: {named}{more}"
