"""How this node is, for those who ask for its health: as the files say that applies leave."""

from __future__ import annotations

import calendar
import time

from . import outage, state
from .answers import Health

AGE = 0.25
"""Seconds that what was seen is believed: who asks often makes no work."""


class Condition:
    """Nothing that is damaged raises anything."""

    def __init__(self) -> None:
        self._drained = False
        self._healthy = True
        self._updated = 0
        self._looked = float("-inf")

    def __call__(self) -> Health:
        """The node is not healthy from an apply that failed to one that goes well, and from a rollback that nobody
        asked for until a change is confirmed."""
        now = time.monotonic()
        if now - self._looked >= AGE:
            self._looked = now
            self._drained = outage.node_is_drained()
            self._healthy = state.error() is None and state.note() is None
            self._updated = _seconds(state.in_force().time)
        return Health(self._healthy, not self._drained, self._updated)


def _seconds(text: str) -> int:
    """Seconds of the epoch; 0 where ``text`` is not a time as the state keeps it."""
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return 0
