"""What a node is, in numbers, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from . import exposition
from .exposition import GAUGE, Metric, Values, metric
from .status import Status


def text(found: Status) -> str:
    """The metrics of a node; one that is not known is left out."""
    return exposition.text(_metrics(found))


def _metrics(found: Status) -> Iterator[Metric]:
    held = found.held
    count, room = found.connections
    yield metric("generation", "Number of the generation in force.", found.in_force.generation)
    yield metric("services", "Services that program rules.", held.services if held else None)
    endpoints: Values = {
        (("ready", "true"),): held.ready if held else None,
        (("ready", "false"),): held.endpoints - held.ready if held else None,
    }
    yield Metric("endpoints", GAUGE, "Endpoints of these Services.", endpoints)
    yield metric("endpoints_without_route", "Endpoints that this node has no route to.", len(found.unrouted))
    yield metric("drift_lines", "Lines in which the kernel differs from the node's files.", found.drift.lines)
    yield metric("change_pending", "Whether a change waits for its confirmation.", int(bool(found.waiting)))
    yield metric("change_taken_back", "Whether the node took the last change back.", int(bool(found.rolled_back)))
    yield metric("connections", "Connections that conntrack has.", count if room else None)
    yield metric("connections_max", "Connections that conntrack has room for.", room or None)
