"""What becomes of checks, and of what is known of them, when the list changes."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.health.attempts import LocalError
from sluice.health.check import Check
from sluice.health.reasons import Reason, State
from sluice.health.subjects import Subject, Subjects, understood
from sluice.health.wire import MOST_MILLISECONDS, List, Record
from sluice.probes import probe


def check(last: int, **said: Any) -> Check:
    return Check(f"192.0.2.{last}", 80, probe(said or {"tcpSocket": {}}).question)


def wanted(*checks: Check, node: str = "lb1", source: str = "", generation: int = 1, first: int = 0) -> List:
    return List(generation, node, source, list(enumerate(checks, first)))


def by_id(subjects: Subjects) -> dict[int, Subject]:
    return {subject.id: subject for subject in subjects}


def test_what_is_known_stays_with_the_check_whatever_its_id() -> None:
    subjects = Subjects()
    assert subjects.take(wanted(check(1), check(2)), 0.0) == []
    one, two = by_id(subjects).values()
    assert one.answer(Reason.FINE, 0.0, 0.004)
    (gone,) = subjects.take(wanted(check(3), check(1), generation=2, first=7), 1.0)
    assert gone is two
    assert gone.id == -1
    assert by_id(subjects)[8] is one
    assert one.record() == Record(8, State.UP, Reason.FINE, 4)
    one.answer(Reason.FINE, 0.0, 1e9)
    assert one.record().milliseconds == MOST_MILLISECONDS
    assert list(subjects.known()) == [one]
    assert subjects.generation == 2


def test_turns_are_those_of_the_node() -> None:
    subjects = Subjects()
    subjects.take(wanted(check(1)), 100.0)
    (subject,) = subjects
    due = subject.due
    assert 100.0 < due <= 105.0
    subjects.take(wanted(check(1), source="192.0.2.9"), 103.0)
    assert subject.due == due
    assert subject.target.source == "192.0.2.9"
    subjects.take(wanted(check(1), node="lb2"), 103.0)
    assert subject.due != due
    assert subject.target.source == ""


def test_a_source_for_each_family() -> None:
    subjects = Subjects()
    subjects.take(wanted(check(1), Check("2001:db8::1", 1, check(1).question), source="192.0.2.9, 2001:db8::9"), 0.0)
    assert [subject.target.source for subject in subjects] == ["192.0.2.9", "2001:db8::9"]
    subjects.take(wanted(check(1), source="2001:db8::9"), 0.0)
    assert [subject.target.source for subject in subjects] == [""]


def test_the_same_check_twice_is_one() -> None:
    subjects = Subjects()
    subjects.take(wanted(check(1), check(1)), 0.0)
    assert list(by_id(subjects)) == [1]


def test_questions_are_understood_once_and_sorted_by_period() -> None:
    subjects = Subjects()
    subjects.take(wanted(check(1), check(2), check(3, httpGet={}, periodSeconds=2)), 0.0)
    periods = subjects.by_period()
    assert {period: len(found) for period, found in periods.items()} == {5000: 2, 2000: 1}
    assert periods[5000][0].question is periods[5000][1].question


@pytest.mark.parametrize("text", ["", "[]", '{"smtp":{}}', "[" * 100_000, '{"tcpSocket":{"port":"\\ud800"}}'])
def test_what_is_not_understood_is_not_asked_and_says_so(text: str) -> None:
    subjects = Subjects()
    subjects.take(wanted(Check("192.0.2.1", 80, text)), 0.0)
    assert not subjects.by_period()
    (subject,) = subjects.known()
    assert subject.record() == Record(0, State.UNKNOWN, Reason.NO_QUESTION, 0)
    with pytest.raises(LocalError):
        understood(text).begin(subject.target)
