"""The checker's talk with the supervisor: a connection that may be there or not, and what waits to be told by it."""

from __future__ import annotations

import itertools
import select

from . import peers, wire
from .attempts import IN, OUT
from .subjects import Subject, Subjects

_AGAIN = 0.2
"""Seconds until the supervisor is tried again."""

_RECORDS = 5000
"""Records that are handed to the socket at a time."""


class Reports:
    """Tells the supervisor that listens at ``path`` of ``subjects``. Its descriptor is watched by ``epoll``.

    That the supervisor is gone, or talks nonsense, is no error: another one will come.
    """

    def __init__(self, path: str, epoll: select.epoll, subjects: Subjects) -> None:
        self._path, self._epoll, self._subjects = path, epoll, subjects
        self._link: wire.Checker | None = None
        self._listed = False  # whether this supervisor has sent a list
        self._watched = IN
        self._unsent: dict[int, Subject] = {}
        self.next_try: float | None = 0.0

    def connect(self, now: float) -> None:
        """Connect where there is no connection and the next try is due."""
        if self.next_try is None or now < self.next_try:
            return
        self.next_try = now + _AGAIN
        link = peers.connect(self._path)
        if link is not None:
            self._epoll.register(link.fileno(), IN)
            self._link, self._listed, self._watched, self.next_try = wire.Checker(link), False, IN, None

    def close(self, now: float) -> None:
        if self._link is not None:
            self._link.close()
            self._link, self.next_try = None, now + _AGAIN

    def talk(self, now: float) -> wire.List | None:
        """Go on where the connection can be read from or written to; a list if one came."""
        if self._link is None:
            return None
        try:
            self._link.flush()
            found = self._link.receive()
        except (OSError, ValueError):
            self.close(now)
            return None
        self._watch()
        return found

    def all(self) -> None:
        """Tell all that is known, to who has just sent a list."""
        self._listed = True
        self._unsent = {subject.id: subject for subject in self._subjects.known()}

    def note(self, subject: Subject) -> None:
        """Tell what is new of ``subject`` at the next ``tell``."""
        self._unsent[subject.id] = subject

    def tell(self, now: float) -> None:
        """Tell what is new as far as it is taken. Where nobody listens it is forgotten: who comes is told all."""
        if not self._unsent:
            return
        if self._link is None or not self._listed:
            self._unsent.clear()
            return
        try:
            while self._unsent and not self._link.wants_write:
                some = list(itertools.islice(self._unsent, _RECORDS))
                records = [self._unsent.pop(number).record() for number in some]
                self._link.post(self._subjects.generation, records)
        except OSError:
            self.close(now)
        else:
            self._watch()

    def beat(self, heartbeat: wire.Heartbeat, now: float) -> None:
        """Send a heartbeat, unless what was said before is not taken yet."""
        if self._link is None or self._link.wants_write:
            return
        try:
            self._link.beat(heartbeat)
        except OSError:
            self.close(now)
        else:
            self._watch()

    def _watch(self) -> None:
        if self._link is not None:
            watched = IN | OUT if self._link.wants_write else IN
            if watched != self._watched:
                self._watched = watched
                self._epoll.modify(self._link.fileno(), watched)
