"""What is due comes when it is due, in order, and turns are spread over the period."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.health.timers import Timers, phase, turn


def test_what_is_due_comes_in_order() -> None:
    timers: Timers[str] = Timers()
    assert timers.next() is None
    timers.add(10, 1.0, "a")
    timers.add(10, 2.0, "b")
    timers.add(5, 1.5, "c")
    assert timers.next() == 1.0
    assert list(timers.pop(0.9)) == []
    assert list(timers.pop(1.7)) == [(10, 1.0, "a"), (5, 1.5, "c")]
    assert timers.next() == 2.0


def test_what_is_added_meanwhile_and_what_is_left() -> None:
    timers: Timers[int] = Timers()
    timers.add(1, 0.0, 0)
    taken = []
    for _delay, due, item in timers.pop(2.5):
        taken.append(item)
        timers.add(1, due + 1, item + 1)
    assert taken == [0, 1, 2]
    timers.add(9, 2.9, 7)
    for entry in timers.pop(5):
        assert entry == (9, 2.9, 7), "what waits for longest comes first"
        break
    assert timers.next() == 3.0


def test_filled_anew() -> None:
    timers: Timers[str] = Timers()
    timers.add(1, 0.5, "old")
    timers.add(2, 0.5, "other")
    timers.fill(1, [(3.0, "b"), (1.0, "a")])
    timers.keep([1])
    assert [item for _delay, _due, item in timers.pop(5)] == ["a", "b"]


def test_phases_are_spread_and_differ_between_nodes() -> None:
    checks = [(f"10.0.{number // 250}.{number % 250}", 80, "{}") for number in range(5000)]
    tenths = Counter(int(phase("lb1", check)[0] * 10) for check in checks)
    assert set(tenths) == set(range(10))
    assert min(tenths.values()) > 400
    near = sum(abs(phase("lb1", check)[0] - phase("lb2", check)[0]) < 0.01 for check in checks)
    assert near < 200
    assert phase("lb1", checks[0]) == phase("lb1", checks[0])


def test_the_other_number_has_nothing_to_do_with_the_phase() -> None:
    phases = [phase("lb1", (f"10.0.0.{number}", 80, "{}")) for number in range(250)]
    together = {(int(part * 4), number % 4) for part, number in phases}
    assert len(together) == 16


@given(st.floats(0, 1e7), st.floats(0.1, 3600), st.floats(0, 1, exclude_max=True))
def test_turns_are_a_period_apart(now: float, period: float, part: float) -> None:
    first = turn(now, period, part)
    assert now - 1e-6 <= first <= now + period + 1e-6
    assert turn(first + period / 2, period, part) == pytest.approx(first + period)
