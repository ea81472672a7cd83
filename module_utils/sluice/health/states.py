"""What is known of one endpoint from one answer after the other. Pure: whoever asks says what time it is."""

from __future__ import annotations

from .reasons import Reason, State

FLAPS = 4
WINDOW = 60.0
"""More changes than FLAPS within WINDOW seconds are flapping."""

LONGEST = 300.0
"""Seconds that a rise has to hold at most."""


class Machine:
    """The state of one check; there may be 25,000, so it is small.

    ``fall`` failures in a row make it DOWN, ``rise`` successes UP, where it was unknown one. While it flaps, each
    further rise must also have held for twice as long as the one before: ``hold`` seconds, 0 while it does not flap.
    That is over when answers and state have agreed for a while (WINDOW and ``hold``).
    """

    __slots__ = ("against", "changes", "contradicted", "hold", "reason", "since", "state")

    def __init__(self) -> None:
        self.state = State.UNKNOWN
        self.reason = Reason.NOT_YET
        self.against = 0  # answers in a row that contradict the state
        self.since = 0.0  # when the first of these came
        self.changes: tuple[float, ...] = ()  # when it changed lately, FLAPS times at most
        self.contradicted = 0.0  # when an answer did not agree with the state last
        self.hold = 0.0

    def answer(self, reason: Reason, now: float, fall: int, rise: int, usual: float) -> bool:
        """Take in what came of a check at ``now``. Whether state or reason are other ones now.

        ``usual``: seconds in which a rise happens that has nothing against it; the first hold is twice as long.
        """
        before = self.state, self.reason
        if reason >= Reason.LOCAL:
            # It says nothing of the endpoint: what was known is still all there is.
            if self.state is State.UNKNOWN:
                self.reason = reason
        elif reason is Reason.FINE:
            self._success(now, rise, usual)
        else:
            self._failure(reason, now, fall, usual)
        return (self.state, self.reason) != before

    @property
    def is_down(self) -> bool:
        return self.state is State.DOWN

    @property
    def falling(self) -> bool:
        """Whether it failed, but not often enough yet: the next answer is wanted soon."""
        return self.against > 0 and self.state is not State.DOWN

    def _success(self, now: float, rise: int, usual: float) -> None:
        if self.state is not State.DOWN:
            self.against = 0
            if self.state is State.UNKNOWN:
                self.state, self.contradicted = State.UP, now
            elif self.hold:
                self._calm(now)
            self.reason = Reason.FINE
            return
        self._calm(now)
        if not self.against:
            self.since = now
        self.against += 1
        self.contradicted = now
        if self.against >= rise and now - self.since >= self.hold:
            self._change(State.UP, now, usual)
            self.reason = Reason.FINE

    def _failure(self, reason: Reason, now: float, fall: int, usual: float) -> None:
        if self.state is State.DOWN:
            self._calm(now)
            self.against = 0
            self.reason = reason
            return
        if self.state is State.UP:
            self._calm(now)
        self.against += 1
        self.contradicted = now
        if self.against >= fall:
            if self.state is State.UP:
                self._change(State.DOWN, now, usual)
            else:
                self.state, self.against = State.DOWN, 0
            self.reason = reason

    def _calm(self, now: float) -> None:
        if self.hold and now - self.contradicted > WINDOW + self.hold:
            self.hold = 0.0
            self.changes = ()

    def _change(self, state: State, now: float, usual: float) -> None:
        self.state, self.against = state, 0
        flapping = len(self.changes) == FLAPS and now - self.changes[0] < WINDOW
        self.changes = (*self.changes, now)[-FLAPS:]
        if state is State.UP and self.hold:
            self.hold = min(2 * self.hold, LONGEST)
        elif flapping and not self.hold:
            self.hold = min(2 * max(usual, 1.0), LONGEST)
