"""Which attempts go by a source port that conntrack leaves alone (module notrack), and which do not.

A firewall that lets in answers only to what conntrack knows drops those of untracked attempts, and its table may be one
that no rule of ours comes before. So no untracked attempt decides that an endpoint is down: the last one before that is
tracked. Where it finds an answer, the endpoint is asked in that way for a while.
"""

from __future__ import annotations

from collections.abc import Sequence

from .reasons import Reason
from .subjects import Subject

_AGAIN = 600.0
"""Seconds until an endpoint whose answers took conntrack is asked without again."""

_A_SECOND = 100.0
"""Tracked attempts a second at endpoints that are down: conntrack keeps each that nobody answers for two minutes."""


class Untracked:
    """Chooses for each attempt. ``ports`` may be used: none, and all attempts are tracked."""

    def __init__(self) -> None:
        self.ports: Sequence[int] = ()
        self._needed: dict[Subject, float] = {}
        self._room = _A_SECOND
        self._at = 0.0

    def port(self, subject: Subject, now: float) -> int:
        """The source port of an attempt that begins now, 0 for any one."""
        tracked = not (self.ports and subject.question.streams) or self._wants_conntrack(subject, now)
        subject.untracked = not tracked
        if tracked:
            return 0
        # One after the other: a connection that waits for its end (tcpSocket with accept) keeps its port for a minute.
        subject.place = (subject.place + 1) % len(self.ports)
        return self.ports[subject.place]

    def _wants_conntrack(self, subject: Subject, now: float) -> bool:
        if self._needed.get(subject, 0.0) > now:
            return True
        machine = subject.machine
        if not machine.is_down:
            return machine.against + 1 >= subject.question.probe.fall
        self._room = min(self._room + (now - self._at) * _A_SECOND, _A_SECOND)
        self._at = now
        if self._room < 1:
            return False
        self._room -= 1
        return True

    def learn(self, subject: Subject, reason: Reason, now: float) -> None:
        """Take in what came of an attempt."""
        if subject.untracked:
            subject.silent = reason is Reason.TIMEOUT
        elif subject.silent and reason is Reason.FINE:
            self._needed[subject] = now + _AGAIN
            subject.silent = False

    def needed(self, now: float) -> int:
        """How many endpoints answer only where conntrack knows that they are asked."""
        gone = [subject for subject, end in self._needed.items() if end <= now or subject.id < 0]
        for subject in gone:
            del self._needed[subject]
        return len(self._needed)
