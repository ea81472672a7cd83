"""All that a node tells of itself for a page about many nodes: its status, what is odd, its Services, what flows."""

from __future__ import annotations

import base64
import json
import os
import time
import zlib
from collections.abc import Mapping
from typing import Any

from .. import addresses
from ..addresses import host_port
from ..backends.interface import Entry
from ..catalogue.model import Catalogue
from ..observe import explain, live
from ..observe.snapshot import Snapshot
from ..system import conntrack, owned_files
from ..system.tools import NodeError
from . import exported, files, history, metrics, outage, report_rows, status, traffic
from .report_rows import Held
from .status import Status
from .unrouted import warning

FORM = 1
"""Of what is written here; ``fleet/states.py`` reads no other one."""

Flows = Mapping[tuple[Entry, str], int]
_NO_TRAFFIC: traffic.Traffic = {}
_NO_FLOWS: Flows = {}

_SETTINGS = ("compat", "ip_families", "iptables_dispatch", "ipvs_scheduler", "health", "takeover")


def packed(directory: str = files.DIRECTORY) -> str:
    """A node's report as text that is small enough for any connection: JSON, zlib, base64. Raises NodeError."""
    return base64.b64encode(zlib.compress(json.dumps(report(directory)).encode(), 9)).decode()


def report(directory: str = files.DIRECTORY) -> dict[str, Any]:
    """What this node is, by its files in ``directory`` and its kernel. Changes nothing.

    Raises NodeError where there are no such files, or for others than root. What else cannot be read is told among
    ``trouble``, and is missing.
    """
    if os.geteuid():
        raise NodeError("to read what the kernel holds needs root")
    found = status.status(directory)
    trouble = _trouble(found)
    held = exported.catalogue(directory)
    if held is None:
        trouble.append("the catalogue among the node's files cannot be read: nothing is known of its Services' names")
    catalogue = held or Catalogue()
    snapshot, counted, flows = Snapshot(), _NO_TRAFFIC, _NO_FLOWS
    try:
        snapshot = live.dump()
        counted = traffic.by_service(catalogue, traffic.read())
        if not all(each.endpoints for each in counted.values()):
            flows = _flows()
    except NodeError as error:
        trouble.append(f"what the kernel holds cannot be read: {error}")
    seen, outages = explain.explain(snapshot), outage.current()
    contents = {name: _text(directory, name) for name in metrics.WITHOUT_RULES}
    return {
        "form": FORM,
        "time": int(time.time()),
        "status": {**found.fields(), "drift_lines": found.drift.lines},
        "trouble": trouble,
        "odd": [each._asdict() for each in seen.oddities],
        "out": outages.lines,
        "settings": {name: files.setting(contents, name) for name in _SETTINGS},
        "layers": sorted({port.source for port in seen.ports}),
        "catalogue": owned_files.digest(contents[files.CATALOGUE_FILE].encode())[:12],
        "rules": metrics.rule_counts(exported.contents(directory)),
        "rows": report_rows.rows(Held(catalogue, snapshot, seen.ports, counted, outages, flows)),
    }


def _trouble(found: Status) -> list[str]:
    """What speaks against a node being well, as ``sluice status`` finds it: a line each."""
    said = []
    if found.drift.lines:
        said.append(f"drift: {found.drift.text}")
    elif found.drift.lines is None:
        said.append(f"drift is {found.drift.text}")
    if found.rolled_back:
        said.append(f"a change was taken back: {found.rolled_back['reason']} ({_when(found.rolled_back)})")
    if found.error:
        said.append(f"the last apply failed: {found.error['message']} ({_when(found.error)})")
    if found.waiting and found.waiting.overdue:
        said.append("a change was not confirmed in time, and is going to be taken back")
    if not found.health.well:
        said.append(f"health is {found.health.text}")
    return [*said, *filter(None, (warning(found.unrouted), found.nearly_full))]


def _when(kept: Mapping[str, Any]) -> str:
    return history.shown(kept["time"])


def _flows() -> Flows:
    """How many connections conntrack has, by where they came in and by endpoint (``address:port``)."""
    found: dict[tuple[Entry, str], int] = {}
    for family in addresses.FAMILIES:
        for protocol, flows in (("tcp", conntrack.tcp_connections), ("udp", conntrack.udp_flows)):
            for way, each in flows(family).items():
                key = Entry(way.destination, protocol, way.port), host_port(way.reply_source, way.reply_port)
                found[key] = found.get(key, 0) + len(each)
    return found


def _text(directory: str, name: str) -> str:
    try:
        return owned_files.content(os.path.join(directory, name)) or ""
    except (OSError, UnicodeDecodeError):
        return ""
