"""The generations that a node keeps: which there are, since when, by whom, and what each changed."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..backends.interface import Files
from ..catalogue import changes, counts
from . import difference, files, state
from .origin import Origin

SHOWN = 5
"""So many of a generation's changes are listed by Service."""

UNKNOWN = "?"
"""What stands where an earlier version kept nothing."""


class Entry(NamedTuple):
    """A generation: when it was made (ISO 8601), by whom, whether it is in force, what it changed, a line each.

    ``undone``: somebody has gone back from it, or the node took it back. ``services`` is None, and ``origin`` too,
    where an earlier version made it and it cannot be told.
    """

    generation: int
    time: str
    origin: Origin | None
    active: bool
    undone: bool
    services: int | None
    changes: Sequence[str]

    def fields(self) -> dict[str, Any]:
        """As ``sluice history --json`` prints it."""
        return {
            "generation": self.generation,
            "time": in_utc(self.time),
            "by": as_fields(self.origin),
            "active": self.active,
            "undone": self.undone,
            "services": self.services,
            "changes": list(self.changes),
        }


def entries() -> list[Entry]:
    """The generations that are kept, the newest first."""
    active = state.active()
    whole = functools.lru_cache(maxsize=2)(state.whole)  # each is read once: most are the one before of the next
    kept = state.generations()
    previous = {each.number: each.previous for each in kept}
    led_here: set[int] = set()
    number = active
    while number and number not in led_here:
        led_here.add(number)
        number = previous.get(number, 0)
    found = []
    for each in kept:
        own = whole(each.number)
        held = counts.counts(own.get(files.CATALOGUE_FILE))
        lines = changed(whole(each.previous), own) if own else ["it is damaged, or somebody has edited it"]
        found.append(
            Entry(
                each.number,
                each.time,
                each.origin,
                active=each.number == active,
                undone=each.number not in led_here and each.number > min(led_here, default=0),
                services=held.services if held else None,
                changes=lines,
            )
        )
    return found


def changed(before: Files, after: Files) -> list[str]:
    """What is different, in numbers and then by Service; nothing where that cannot be told."""
    line = counts.difference(before.get(files.CATALOGUE_FILE), after.get(files.CATALOGUE_FILE))
    if not line:
        return []
    by_service = difference.services(before, after) if before else []
    return [line, *changes.cut(by_service, SHOWN)]


def table(found: Sequence[Entry]) -> str:
    """The entries for a person; the one in force has a star, those that were undone a dash. ``""`` for no entry."""
    rows = [["", "GENERATION", "TIME", "BY", "CHANGES"]] if found else []
    for each in found:
        head = [
            "*" if each.active else "-" if each.undone else "",
            str(each.generation),
            shown(each.time),
            by(each.origin),
        ]
        first, *more = each.changes or [UNKNOWN]
        rows.append([*head, first])
        rows += [["", "", "", "", line] for line in more]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def named(number: int) -> str:
    """A generation in words: ``generation 4 of 2026-11-28 10:12 UTC (by ops, ansible): 12 Services``."""
    made, contents = state.generation(number), state.whole(number)
    if made is None or not contents:
        return f"generation {number}" if number else "a node with nothing of Sluice"
    who = f" (by {', '.join(part for part in (made.origin.user, made.origin.by) if part)})" if made.origin else ""
    held = counts.counts(contents.get(files.CATALOGUE_FILE))
    holds = (f": {held.text}" if held else "") if files.parse(contents).layers else ": nothing of Sluice"
    return f"generation {number} of {shown(made.time)}{who}{holds}"


def kept_ones() -> str:
    """Which generations there are, for a message."""
    numbers = sorted(each.number for each in state.generations())
    if not numbers:
        return "none is kept"
    return f"kept are {', '.join(map(str, numbers))}, in force is {state.active()}"


def by(origin: Origin | None) -> str:
    """Who, in words."""
    return origin.text if origin else UNKNOWN


def as_fields(origin: Origin | None) -> dict[str, str] | None:
    """Who, as JSON."""
    return origin._asdict() if origin else None


def in_utc(time: str) -> str:
    """A time that was kept, in UTC (RFC 3339); an earlier version kept the node's own. As it is where it is none."""
    found = _parsed(time)
    return f"{found:%Y-%m-%dT%H:%M:%SZ}" if found else time


def shown(time: str) -> str:
    """A time that was kept, for people: ``2026-11-28 10:12 UTC``."""
    found = _parsed(time)
    return f"{found:%Y-%m-%d %H:%M} UTC" if found else time or UNKNOWN


def _parsed(time: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%S%z").astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):
        return None
