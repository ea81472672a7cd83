"""The state of one check against a model that remembers everything, and what flapping does to a rise."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.health.reasons import Reason, State
from sluice.health.states import FLAPS, LONGEST, WINDOW, Machine

FINE, BAD, LOCAL = Reason.FINE, Reason.REFUSED, Reason.NO_RESOURCES


def run(machine: Machine, answers: list[Reason], *, now: float = 0.0, fall: int = 3, rise: int = 2) -> float:
    """One answer a second; when the next one would come."""
    for answer in answers:
        machine.answer(answer, now, fall, rise, rise)
        now += 1
    return now


def test_unknown_is_up_at_the_first_success() -> None:
    machine = Machine()
    assert machine.answer(FINE, 0, 3, 2, 10)
    assert machine.state is State.UP
    assert machine.reason is FINE
    assert not machine.answer(FINE, 5, 3, 2, 10), "nothing new"


def test_unknown_is_down_after_fall_failures() -> None:
    machine = Machine()
    run(machine, [BAD, BAD])
    assert machine.state is State.UNKNOWN
    assert machine.falling
    run(machine, [BAD])
    assert machine.state is State.DOWN
    assert not machine.falling
    assert machine.reason is BAD


def test_failures_count_in_a_row() -> None:
    machine = Machine()
    now = run(machine, [FINE, BAD, BAD, FINE, BAD, BAD])
    assert machine.state is State.UP
    assert machine.falling
    now = run(machine, [BAD], now=now)
    assert machine.state is State.DOWN
    now = run(machine, [FINE, BAD, FINE], now=now)
    assert machine.state is State.DOWN
    run(machine, [FINE], now=now)
    assert machine.state is State.UP


def test_another_reason_is_news_and_another_failure_of_an_endpoint_that_is_up_is_not() -> None:
    machine = Machine()
    run(machine, [BAD] * 3)
    assert machine.answer(Reason.TIMEOUT, 9, 3, 2, 2)
    assert machine.reason is Reason.TIMEOUT
    run(machine, [FINE, FINE], now=10)
    assert not machine.answer(BAD, 20, 3, 2, 2)
    assert machine.reason is FINE


def test_what_this_node_cannot_do_changes_nothing() -> None:
    machine = Machine()
    assert machine.answer(LOCAL, 0, 1, 1, 1)
    assert machine.state is State.UNKNOWN
    assert machine.reason is LOCAL
    for known in (FINE, BAD):
        run(machine, [known] * 3)
        before = machine.state, machine.reason, machine.against
        assert not machine.answer(LOCAL, 9, 1, 1, 1)
        assert (machine.state, machine.reason, machine.against) == before


def test_it_is_small() -> None:
    assert not hasattr(Machine(), "__dict__")
    assert sys.getsizeof(Machine()) < 150


def changes(seconds: float, period: float, turns: float, *, fall: int, rise: int) -> int:
    """How often the state of an endpoint changes that is up and down for ``turns`` seconds in turn."""
    machine, now, count = Machine(), 0.0, 0
    last = machine.state
    while now < seconds:
        machine.answer(FINE if now // turns % 2 == 0 else BAD, now, fall, rise, rise * period)
        count += last not in (machine.state, State.UNKNOWN)
        last = machine.state
        now += period
    return count


@pytest.mark.parametrize("period", [0.1, 0.25, 0.5, 0.7, 1.0, 2.0])
@pytest.mark.parametrize(("fall", "rise"), [(1, 1), (3, 2), (2, 1)])
def test_what_toggles_changes_a_few_times_only(period: float, fall: int, rise: int) -> None:
    assert changes(120, period, 1.0, fall=fall, rise=rise) <= 6
    assert changes(3600, period, 1.0, fall=fall, rise=rise) <= 6


@pytest.mark.parametrize("turns", [5.0, 10.0])
def test_slower_ones_have_to_hold_for_longer_each_time(turns: float) -> None:
    assert changes(7200, 0.5, turns, fall=3, rise=2) < 7200 / turns / 5


def test_a_hold_doubles_to_its_longest() -> None:
    machine, now = Machine(), 0.0
    machine.answer(FINE, now, 1, 1, 1.0)
    while not machine.hold:
        now += 1
        machine.answer(BAD if machine.state is State.UP else FINE, now, 1, 1, 1.0)
    assert len(machine.changes) == FLAPS
    holds = []
    for _turn in range(12):
        if machine.state is State.UP:
            now += 1
            machine.answer(BAD, now, 1, 1, 1.0)
        began, now = now + 1, now + 1
        hold = machine.hold
        while machine.state is State.DOWN:
            machine.answer(FINE, now, 1, 1, 1.0)
            now += 0.5
        holds.append(hold)
        assert now - 0.5 - began >= hold, "it held for as long"
    assert holds[:4] == [2.0, 4.0, 8.0, 16.0]
    assert holds[-1] == LONGEST


@pytest.mark.parametrize("state", [State.UP, State.DOWN])
def test_it_is_forgotten_in_calm(state: State) -> None:
    machine, now = Machine(), 0.0
    for _turn in range(4):
        now = run(machine, [FINE, BAD], now=now, fall=1, rise=1)
    assert machine.hold
    answer = FINE if state is State.UP else BAD
    while machine.state is not state:
        now = run(machine, [answer], now=now, fall=1, rise=1)
    until = now + WINDOW + machine.hold + 5
    while now < until:
        now = run(machine, [answer], now=now, fall=1, rise=1)
    if state is State.UP:
        assert not machine.hold
        now = run(machine, [BAD], now=now, fall=1, rise=1)
    run(machine, [FINE], now=now, fall=1, rise=1)
    assert machine.state is State.UP, "one success is enough again"


class Model:
    """The rules once more, from the whole list of answers: without flapping."""

    def __init__(self, fall: int, rise: int) -> None:
        self.fall, self.rise = fall, rise
        self.state = State.UNKNOWN
        self.answers: list[bool] = []

    def answer(self, fine: bool) -> None:
        self.answers.append(fine)
        wanted = 1 if self.state is State.UNKNOWN else self.rise
        if self.state is not State.UP and len(self.answers) >= wanted and all(self.answers[-wanted:]):
            self.state, self.answers = State.UP, []
        elif self.state is not State.DOWN and len(self.answers) >= self.fall and not any(self.answers[-self.fall :]):
            self.state, self.answers = State.DOWN, []


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 5), st.integers(1, 5))
def test_as_the_model(answers: list[bool], fall: int, rise: int) -> None:
    machine, model = Machine(), Model(fall, rise)
    for turn, fine in enumerate(answers):
        # So slow that nothing is flapping.
        machine.answer(FINE if fine else BAD, turn * WINDOW, fall, rise, 1.0)
        model.answer(fine)
        assert machine.state is model.state


def test_many_random_events() -> None:
    chance = random.Random(5)
    machine, now, last, rises = Machine(), 0.0, State.UNKNOWN, 0
    row = 0
    for _event in range(100_000):
        now += chance.choice([0.1, 1.0, 5.0])
        answer = chance.choice([FINE, FINE, FINE, BAD, BAD, LOCAL, Reason.TIMEOUT])
        if chance.random() < 0.02:
            answer = last_answer = FINE
            for _same in range(chance.randrange(400)):  # a long time in which it is well
                now += 1.0
                machine.answer(last_answer, now, 3, 2, 2.0)
            row = 0
        machine.answer(answer, now, 3, 2, 2.0)
        row = row if answer is LOCAL else row + 1 if answer is not FINE else 0
        assert machine.state in State
        assert 0 <= machine.hold <= LONGEST
        assert len(machine.changes) <= FLAPS
        assert machine.state is not State.UP or machine.reason is FINE
        assert machine.state is not State.DOWN or FINE < machine.reason < Reason.LOCAL
        if last is State.UP and machine.state is State.DOWN:
            assert row >= 3
        rises += last is State.DOWN and machine.state is State.UP
        last = machine.state
    assert rises > 100
