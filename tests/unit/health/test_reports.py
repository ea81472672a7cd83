"""The talk with a supervisor that comes and goes: nothing is lost that is still true, and nobody is waited for."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.health import peers, wire
from sluice.health.attempts import IN
from sluice.health.check import Check
from sluice.health.reasons import Reason, State
from sluice.health.reports import Reports
from sluice.health.subjects import Subject, Subjects
from sluice.health.wire import Heartbeat, Record

CHECKS = [(number, Check(f"192.0.2.{number}", 80, '{"tcpSocket":{}}')) for number in range(3)]


class Talk:
    """Both ends, and the checks that the checker's has."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.epoll = select.epoll()
        self.subjects = Subjects()
        self.reports = Reports(self.path, self.epoll, self.subjects)
        self.listening: socket.socket | None = None

    def listen(self) -> None:
        self.listening = peers.listen(self.path, os.getgid())

    def accept(self, now: float) -> wire.Supervisor:
        assert self.listening
        self.reports.connect(now)
        return wire.Supervisor(self.listening.accept()[0])

    def take(self, now: float) -> None:
        wanted = self.reports.talk(now)
        assert wanted
        self.subjects.take(wanted, now)
        self.reports.all()

    def subject(self, number: int) -> Subject:
        return next(subject for subject in self.subjects if subject.id == number)

    def close(self) -> None:
        self.reports.close(0.0)
        self.epoll.close()
        if self.listening:
            self.listening.close()


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    found = Talk(tmp_path / "socket")
    yield found
    found.close()


def test_it_tries_again_and_again(talk: Talk) -> None:
    talk.reports.connect(0.0)
    assert talk.reports.next_try == pytest.approx(0.2)
    talk.listen()
    talk.reports.connect(0.1)
    assert talk.reports.next_try is not None, "not yet"
    supervisor = talk.accept(0.25)
    assert talk.reports.next_try is None
    supervisor.close()
    assert talk.reports.talk(1.0) is None
    assert talk.reports.next_try == pytest.approx(1.2)


def test_who_sends_a_list_is_told_all_that_is_known(talk: Talk) -> None:
    talk.listen()
    first = talk.accept(0.0)
    first.send(1, "lb1", "", CHECKS)
    talk.take(0.0)
    for number, reason in ((0, Reason.FINE), (1, Reason.NO_CA_FILE)):
        talk.subject(number).answer(reason, 0.0, 0.0)
        talk.reports.note(talk.subject(number))
    talk.reports.tell(0.0)
    known = [Record(0, State.UP, Reason.FINE, 0), Record(1, State.UNKNOWN, Reason.NO_CA_FILE, 0)]
    assert first.receive() == known
    first.close()
    assert talk.reports.talk(1.0) is None

    second = talk.accept(2.0)
    talk.reports.note(talk.subject(0))
    talk.reports.tell(2.0)
    second.send(9, "lb1", "", [(number + 10, check) for number, check in CHECKS])
    talk.take(2.0)
    talk.reports.tell(2.0)
    assert second.receive() == [record._replace(id=record.id + 10) for record in known]
    assert second.stale == 0, "nothing is told before there is a list"
    second.close()


def test_nonsense_ends_the_connection(talk: Talk) -> None:
    talk.listen()
    supervisor = talk.accept(0.0)
    supervisor._link.send(b"nonsense")
    assert talk.reports.talk(0.0) is None
    assert talk.reports.next_try == pytest.approx(0.2)
    supervisor.close()


def test_who_is_gone_is_noticed_by_whatever_is_said(talk: Talk) -> None:
    talk.listen()
    supervisor = talk.accept(0.0)
    supervisor.send(1, "lb1", "", CHECKS)
    talk.take(0.0)
    supervisor.close()
    talk.reports.note(talk.subject(0))
    talk.reports.tell(1.0)
    assert talk.reports.next_try == pytest.approx(1.2)
    supervisor = talk.accept(2.0)
    supervisor.close()
    talk.reports.beat(Heartbeat(0, 0, 0, 0), 3.0)
    assert talk.reports.next_try == pytest.approx(3.2)


def test_who_does_not_read_hears_the_last_state_when_it_does(talk: Talk) -> None:
    talk.listen()
    supervisor = talk.accept(0.0)
    supervisor.send(1, "lb1", "", CHECKS)
    talk.take(0.0)
    subject = talk.subject(0)
    assert talk.reports._link
    while not talk.reports._link.wants_write:
        talk.reports.note(subject)
        talk.reports.tell(0.0)
    for _answer in range(3):
        subject.answer(Reason.REFUSED, 0.0, 0.0)
        talk.reports.note(subject)
        talk.reports.tell(0.0)
        talk.reports.beat(Heartbeat(0, 1, 2, 3), 0.0)
    assert len(talk.reports._unsent) == 1
    told: list[Record] = []
    while not told or told[-1].state is not State.DOWN:
        told += supervisor.receive()
        talk.reports.talk(0.0)
        talk.reports.tell(0.0)
    assert supervisor.heartbeat is None, "it would have been as old as what was not read"
    assert talk.reports._watched == IN
    supervisor.close()
