"""What a node is, in numbers: Prometheus' text form, as node_exporter reads it from a file (``*.prom``)."""

from __future__ import annotations

from collections.abc import Iterator

from .status import Status


def text(found: Status) -> str:
    """The metrics of a node; one that is not known is left out (prometheus.io, exposition formats)."""
    lines = []
    for name, description, values in _metrics(found):
        known = [f"sluice_{name}{labels} {value}" for labels, value in values.items() if value is not None]
        if known:
            lines += [f"# HELP sluice_{name} {description}", f"# TYPE sluice_{name} gauge", *known]
    return "".join(f"{line}\n" for line in lines)


def _metrics(found: Status) -> Iterator[tuple[str, str, dict[str, int | None]]]:
    """Name, what it says, and the values by their labels."""
    held = found.held
    count, room = found.connections
    yield "generation", "Number of the generation in force.", {"": found.in_force.generation}
    yield "services", "Services that program rules.", {"": held.services if held else None}
    endpoints = {
        '{ready="true"}': held.ready if held else None,
        '{ready="false"}': held.endpoints - held.ready if held else None,
    }
    yield "endpoints", "Endpoints of these Services.", endpoints
    yield "endpoints_without_route", "Endpoints that this node has no route to.", {"": len(found.unrouted)}
    yield "drift_lines", "Lines in which the kernel differs from the node's files.", {"": found.drift.lines}
    yield "change_pending", "Whether a change waits for its confirmation.", {"": int(bool(found.waiting))}
    yield "change_taken_back", "Whether the node took the last change back.", {"": int(bool(found.rolled_back))}
    yield "connections", "Connections that conntrack has.", {"": count if room else None}
    yield "connections_max", "Connections that conntrack has room for.", {"": room or None}
