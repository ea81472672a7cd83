"""A change that is taken back unless somebody confirms it over a new connection."""

from __future__ import annotations

import time

from ..backends.interface import Files
from ..system import linux, locks
from ..system.tools import NodeError
from . import state, timer


def arm(before: Files, generation: int, seconds: int) -> None:
    """Have the node put ``before`` back by itself after ``seconds``. Raises NodeError: then no change may be made.

    ``generation`` is what the node's files said. An earlier change that still waits is taken back along with this one.
    """
    waiting = state.pending()
    if waiting:
        before, generation = waiting.contents, waiting.generation
    change = f"{time.time_ns():x}"
    armed = ""
    try:
        # Armed before it is written down: a timer whose change does not wait does nothing.
        armed = timer.arm(seconds, change)
        deadline = time.time() + seconds
        state.set_pending(state.Pending(dict(before), generation, change, deadline, armed, linux.place()))
    except OSError as error:
        if armed:
            timer.disarm(armed)
        raise NodeError(f"{error.filename or state.ROOT}: {error.strerror}: nothing was changed") from None
    if waiting:
        timer.disarm(waiting.timer)


def confirm() -> bool:
    """The change that waits is fine. Returns whether one waited. Raises NodeError where it was taken back."""
    with locks.one_apply():
        waiting = state.pending()
        if waiting is None:
            note = state.note()
            if note:
                raise NodeError(f"the change was taken back at {note['time']}: {note['reason']}")
            return False
        timer.disarm(waiting.timer)
        state.forget_pending()
        state.forget_note()
        return True
