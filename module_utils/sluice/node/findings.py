"""What the supervisor of health knows at one moment, of which it tells whoever asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .. import notrack
from ..catalogue import counts
from ..health.reasons import State
from ..health.wire import Heartbeat
from ..outages import Asked
from .answers import Health
from .rendering import Use
from .verdicts import Verdict


class Unheeded(NamedTuple):
    """What came to the checker's socket and was not heeded, since the supervisor began.

    ``dropped``: records that could not be; ``stale``: records of an earlier list; ``refused``: connections of others
    than the checker.
    """

    dropped: int = 0
    stale: int = 0
    refused: int = 0


DROPS = (
    "a firewall drops answers to checks that conntrack does not see, and some endpoints are asked with it; let in "
    f"TCP of state UNTRACKED to ports {notrack.FIRST}-{notrack.LAST}"
)
"""What is told where conntrack has to see checks since a firewall wants it."""


class Summary(NamedTuple):
    """``checker``: whether the checker is there; ``late``: microseconds by which 99 of 100 checks began late at most.

    ``up``, ``down``, ``unknown``: how many checks say so. ``error``: what the supervisor cannot do now, or empty.
    ``conntrack``: why conntrack sees checks that it should not, or empty.
    """

    generation: int
    checker: bool
    late: int
    up: int
    down: int
    unknown: int
    unheeded: Unheeded = Unheeded()
    error: str = ""
    conntrack: str = ""

    @property
    def checks(self) -> int:
        return self.up + self.down + self.unknown

    def fields(self) -> dict[str, Any]:
        return {**self._asdict(), "unheeded": self.unheeded._asdict()}

    def lines(self) -> Iterator[str]:
        """What the checks say, and what else is to be known."""
        parts = [f"{count} {state}" for state in ("up", "down", "unknown") if (count := getattr(self, state))]
        lives = "" if self.checker else "; the checker does not run: this is what was known last"
        yield f"{counts.several(self.checks, 'check')}: {', '.join(parts) or 'none'}{lives}"
        if self.error:
            yield self.error
        dropped, stale, refused = self.unheeded
        some = [
            f"{counts.several(dropped, 'record')} that could not be" if dropped else "",
            f"{counts.several(stale, 'record')} of an earlier list" if stale else "",
            f"{counts.several(refused, 'connection')} of others than the checker" if refused else "",
        ]
        if any(some):
            yield f"not heeded: {', '.join(filter(None, some))}"
        if self.conntrack:
            yield self.conntrack


class Findings(NamedTuple):
    """``checks`` are those of the generation that is in force, ``known`` what is known of them.

    ``changes``: how often an endpoint that served was found down, and the other way round, since the supervisor began.
    ``heartbeat`` is the checker's last one, None where no checker is there; ``error`` what the supervisor cannot do
    now, in words, or empty; ``drained`` how many addresses are; ``clash`` why no check may pass by conntrack, or empty.
    """

    generation: int
    checks: Mapping[Asked, Sequence[Use]]
    known: Mapping[Asked, Verdict]
    changes: Mapping[State, int]
    heartbeat: Heartbeat | None
    unheeded: Unheeded
    error: str
    drained: int
    node: Health
    clash: str = ""

    @property
    def summary(self) -> Summary:
        states = Counter(verdict.state for verdict in self.known.values())
        numbers = (states[State.UP], states[State.DOWN], states[State.UNKNOWN])
        late = self.heartbeat.late if self.heartbeat else 0
        conntrack = self.clash or (DROPS if self.heartbeat and self.heartbeat.tracked else "")
        alive = self.heartbeat is not None
        return Summary(self.generation, alive, late, *numbers, self.unheeded, self.error, conntrack)
