"""What checks say of endpoints: up or down, why, and since when. What is down outlives this process, not the boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..health.reasons import Reason, State
from ..outages import Asked
from ..system import linux, locks, owned_files
from . import kept

FILE = f"{locks.RUN}/health.json"


class Verdict(NamedTuple):
    """``since``: seconds of the epoch. ``milliseconds``: what the check took that said so last."""

    state: State = State.UNKNOWN
    reason: Reason = Reason.NOT_YET
    since: float = 0.0
    milliseconds: int = 0


class Verdicts:
    """One for each check that there is. ``changes``: how often one was found down, and how often up again."""

    def __init__(self) -> None:
        self.changes = {State.DOWN: 0, State.UP: 0}
        self.known: dict[Asked, Verdict] = dict(kept_down())

    @property
    def down(self) -> frozenset[Asked]:
        return frozenset(check for check, verdict in self.known.items() if verdict.state is State.DOWN)

    def ask_for(self, checks: Iterable[Asked]) -> bool:
        """Know of these checks and no others. Whether one is forgotten that was down."""
        before = self.down
        self.known = {check: self.known.get(check, Verdict()) for check in checks}
        return before != self.down

    def take(self, check: Asked, state: State, reason: Reason, milliseconds: int, now: float) -> bool:
        """Believe what the checker says. Whether the endpoint is down now and was not, or the other way round."""
        before = self.known.get(check)
        if before is None or state is State.UNKNOWN:
            return False
        since = before.since if before.state is state else now
        self.known[check] = Verdict(state, reason, since, milliseconds)
        changed = (before.state is State.DOWN) != (state is State.DOWN)
        self.changes[state] += changed
        return changed

    def keep(self) -> None:
        """Write down what is down, for applies and for who comes after this process. Raises OSError."""
        rows = [
            [*check, int(verdict.reason), verdict.since]
            for check, verdict in self.known.items()
            if verdict.state is State.DOWN
        ]
        owned_files.write({FILE: kept.text({"boot": linux.boot(), "down": rows}) if rows else None}, sync=False)


def kept_down() -> Mapping[Asked, Verdict]:
    """What was down when that was last written, in this boot."""
    found = kept.value(FILE, _is_kept)
    if not found or found["boot"] != linux.boot():
        return {}
    return {
        (address, port, question): Verdict(State.DOWN, Reason(reason), since)
        for address, port, question, reason, since in found["down"]
    }


def _is_kept(value: Any) -> bool:
    reasons = set(map(int, Reason))
    return (
        isinstance(value, dict)
        and value.keys() == {"boot", "down"}
        and isinstance(value["down"], list)
        and all(
            isinstance(row, list)
            and list(map(type, row)) in ([str, int, str, int, float], [str, int, str, int, int])
            and row[3] in reasons
            for row in value["down"]
        )
    )
