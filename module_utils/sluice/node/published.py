"""The file in which the supervisor publishes its metrics, for node_exporter: fresh, and not written all the time."""

from __future__ import annotations

import contextlib
from typing import Callable

from ..system import journal, linux, owned_files
from ..system.tools import NodeError
from .supervisor import FOLDER, SOCKET

FILE = f"{FOLDER}/metrics.prom"
"""Everybody may read it."""

LATEST, SOONEST = 15.0, 1.0
"""Seconds after which it is written anew at the latest, and at the soonest."""


class Published:
    """Times are those of one clock, in seconds; ``due``: when it is written next."""

    def __init__(self) -> None:
        self.due = self._soonest = 0.0
        self._said = ""

    def note(self) -> None:
        """There is something new."""
        self.due = min(self.due, self._soonest)

    def look(self, now: float, text: Callable[[], str]) -> None:
        """Write it where that is due. That it cannot be written is said once, and no error."""
        if now < self.due:
            return
        self.due, self._soonest = now + LATEST, now + SOONEST
        try:
            owned_files.write({FILE: text()}, sync=False)
            self._said = ""
        except OSError as error:
            line = f"health: {FILE}: {error.strerror}"
            if line != self._said:
                self._said = line
                journal.say(line)

    def end(self) -> None:
        """Nobody writes it any more: what it says would stay for ever."""
        with contextlib.suppress(OSError):
            owned_files.write({FILE: None}, sync=False)


def read() -> str:
    """What is published. Raises NodeError where nobody does."""
    text = owned_files.content(FILE) if linux.unix_socket(SOCKET)[0] else None
    if text is None:
        raise NodeError("the supervisor of health does not run")
    return text
