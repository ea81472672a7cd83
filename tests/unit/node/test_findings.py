"""What the supervisor knows, in short: what the checks say, and what else is to be known."""

from __future__ import annotations

from sluice.health.reasons import Reason, State
from sluice.health.wire import Heartbeat
from sluice.node.answers import Health
from sluice.node.findings import DROPS, Findings, Unheeded
from sluice.node.verdicts import Verdict
from sluice.outages import Asked

CHECKS: list[Asked] = [("10.1.0.1", 80, "{}"), ("10.1.0.2", 80, "{}"), ("10.1.0.3", 80, "{}")]
STATES = (State.UP, State.DOWN, State.UNKNOWN)
KNOWN = {check: Verdict(state, Reason.FINE, 1.0) for check, state in zip(CHECKS, STATES)}
NOTHING = Findings(0, {}, {}, {}, Heartbeat(0, 0, 0, 0), Unheeded(), "", 0, Health())
FOUND = NOTHING._replace(generation=7, known=KNOWN, heartbeat=Heartbeat(7, 100, 2, 250))


def test_numbers() -> None:
    summary = FOUND.summary
    assert (summary.generation, summary.checker, summary.late) == (7, True, 250)
    assert (summary.checks, summary.up, summary.down, summary.unknown) == (3, 1, 1, 1)
    assert not FOUND._replace(heartbeat=None).summary.checker


def test_for_a_person() -> None:
    assert list(NOTHING.summary.lines()) == ["0 checks: none"]
    assert list(FOUND.summary.lines()) == ["3 checks: 1 up, 1 down, 1 unknown"]
    assert list(FOUND._replace(heartbeat=None, known={CHECKS[0]: KNOWN[CHECKS[0]]}).summary.lines()) == [
        "1 check: 1 up; the checker does not run: this is what was known last"
    ]


def test_what_else_is_to_be_known() -> None:
    def others(unheeded: Unheeded, error: str = "") -> list[str]:
        return list(FOUND._replace(unheeded=unheeded, error=error).summary.lines())[1:]

    all_of_it = "1 record that could not be, 2 records of an earlier list, 3 connections of others than the checker"
    assert others(Unheeded(1, 2, 3), "health: busy") == ["health: busy", f"not heeded: {all_of_it}"]
    assert others(Unheeded(stale=1)) == ["not heeded: 1 record of an earlier list"]


def test_why_conntrack_sees_checks() -> None:
    tracked = FOUND._replace(heartbeat=Heartbeat(7, 100, 2, 250, 5))
    assert list(tracked.summary.lines())[1:] == [DROPS]
    assert list(tracked._replace(clash="ports are taken").summary.lines())[1:] == ["ports are taken"]
