"""Which attempts conntrack sees: never so that an untracked one decides, and no more than it takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.health.check import Check
from sluice.health.reasons import Reason, State
from sluice.health.subjects import Subject, Subjects
from sluice.health.untracked import Untracked
from sluice.health.wire import List

FINE, SILENT, REFUSED = Reason.FINE, Reason.TIMEOUT, Reason.REFUSED
PORTS = range(100, 104)


def subject(**probe: Any) -> Subject:
    found = Subjects()
    question = json.dumps({"tcpSocket": {}, **probe})
    found.take(List(1, "n1", "", [(0, Check("10.1.0.1", 80, question))]), 0.0)
    return next(iter(found))


def untracked() -> Untracked:
    found = Untracked()
    found.ports = PORTS
    return found


def attempt(chooser: Untracked, asked: Subject, reason: Reason, now: float) -> int:
    """One attempt at ``now`` and what comes of it; its port."""
    port = chooser.port(asked, now)
    chooser.learn(asked, reason, now)
    asked.answer(reason, now, now)
    return port


def test_ports_follow_each_other() -> None:
    chooser, asked = untracked(), subject()
    ports = [attempt(chooser, asked, FINE, now) for now in range(8)]
    assert set(ports[:4]) == set(PORTS)
    assert ports[:4] == ports[4:]


@pytest.mark.parametrize("probe", [{"tcpSocket": None, "icmp": {}}, {"failureThreshold": 1}])
def test_always_tracked(probe: dict[str, Any]) -> None:
    """What is no TCP, and where each attempt decides."""
    chooser, asked = untracked(), subject(**probe)
    assert [attempt(chooser, asked, FINE, now) for now in range(3)] == [0, 0, 0]


def test_without_ports() -> None:
    assert attempt(Untracked(), subject(), FINE, 0) == 0


def test_a_firewall_that_wants_conntrack() -> None:
    chooser, asked = untracked(), subject(failureThreshold=3)
    assert attempt(chooser, asked, SILENT, 0)
    assert attempt(chooser, asked, SILENT, 1)
    assert attempt(chooser, asked, FINE, 2) == 0, "the one that decides"
    assert asked.machine.state is State.UP
    assert [attempt(chooser, asked, FINE, now) for now in range(3, 600, 5)] == [0] * 120
    assert chooser.needed(599) == 1
    assert attempt(chooser, asked, FINE, 603), "it is tried again after a while"
    assert chooser.needed(603) == 0


def test_an_endpoint_that_fails_is_no_firewall() -> None:
    """A refusal came by; and where nothing answers either way, nothing is learned."""
    chooser, asked = untracked(), subject(failureThreshold=2)
    for now, reason in enumerate((REFUSED, FINE, SILENT, SILENT, SILENT)):
        attempt(chooser, asked, reason, now)
    assert asked.machine.state is State.DOWN
    assert chooser.needed(5) == 0


def test_what_is_gone_is_forgotten() -> None:
    chooser, asked = untracked(), subject(failureThreshold=2)
    attempt(chooser, asked, SILENT, 0)
    attempt(chooser, asked, FINE, 1)
    assert chooser.needed(2) == 1
    asked.id = -1
    assert chooser.needed(2) == 0


def test_what_is_down_is_tracked_a_hundred_times_a_second() -> None:
    chooser = untracked()
    many = [subject(failureThreshold=1) for _each in range(500)]
    for each in many:
        attempt(chooser, each, SILENT, 0)
    assert {each.machine.state for each in many} == {State.DOWN}
    assert sum(chooser.port(each, 10.0) == 0 for each in many) == 100
    assert sum(chooser.port(each, 10.25) == 0 for each in many) == 25
    assert sum(chooser.port(each, 99.0) == 0 for each in many) == 100


@given(st.lists(st.sampled_from([FINE, SILENT, REFUSED]), max_size=60), st.integers(1, 4))
def test_no_untracked_attempt_decides_that_an_endpoint_is_down(answers: list[Reason], fall: int) -> None:
    chooser, asked = untracked(), subject(failureThreshold=fall)
    for now, reason in enumerate(answers):
        before = asked.machine.state
        port = attempt(chooser, asked, reason, now)
        if before is not State.DOWN and asked.machine.state is State.DOWN:
            assert port == 0
