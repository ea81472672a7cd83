"""The loop, step by step, against real sockets. The whole process, by itself: tests/kernel/health/test_checker.py."""

from __future__ import annotations

import gc
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from asking import PATIENCE, closed_port

from sluice.health import checker, http, peers, wire
from sluice.health.check import Check
from sluice.health.reasons import Reason, State
from sluice.health.wire import Record
from sluice.probes import probe


class Pair:
    """A loop and the supervisor that it tells, in turns."""

    def __init__(self, path: Path, most: int = 100) -> None:
        self.listening = peers.listen(str(path), os.getgid())
        self.loop = checker.Loop(str(path), most)
        self.loop._reports.connect(time.monotonic())
        self.supervisor = wire.Supervisor(self.listening.accept()[0])
        self.known: dict[int, Record] = {}
        self.history: list[tuple[float, Record]] = []
        self.generation = 0

    def ask(self, *checks: Check) -> None:
        self.generation += 1
        self.supervisor.send(self.generation, "lb1", "", list(enumerate(checks)))

    def until(self, *states: State) -> None:
        """Go on until these are the states of the checks, in their order."""
        end = time.monotonic() + PATIENCE
        while [self.known[number].state for number in sorted(self.known)] != list(states):
            self.step()
            assert time.monotonic() < end, self.known

    def step(self) -> None:
        assert self.loop.step()
        for record in self.supervisor.receive():
            self.known[record.id] = record
            self.history.append((time.monotonic(), record))

    def close(self) -> None:
        self.loop.close()
        self.supervisor.close()
        self.listening.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with closing(Pair(tmp_path / "socket")) as found:
        yield found


def question(**said: Any) -> str:
    kind = said or {"tcpSocket": {}}
    return probe({"periodSeconds": 0.2, "retryMilliseconds": 50, **kind}).question


def test_up_and_down_and_up_again(pair: Pair) -> None:
    port = closed_port()
    pair.ask(Check("127.0.0.1", port, question()))
    pair.until(State.DOWN)
    assert pair.known[0].reason is Reason.REFUSED
    with socket.create_server(("127.0.0.1", port)):
        pair.until(State.UP)
    pair.until(State.DOWN)
    assert [record.state for _when, record in pair.history] == [State.DOWN, State.UP, State.DOWN]


def test_never_earlier_than_the_retries_take(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = question(failureThreshold=4, retryMilliseconds=150, tcpSocket={})
        pair.ask(Check("127.0.0.1", server.getsockname()[1], said))
        pair.until(State.UP)
        closed = time.monotonic()
    pair.until(State.DOWN)
    assert time.monotonic() - closed >= 3 * 0.15


def test_an_answer_that_does_not_come(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = question(httpGet={}, timeoutSeconds=0.1)
        pair.ask(Check("127.0.0.1", server.getsockname()[1], said))
        pair.until(State.DOWN)
        assert pair.known[0].reason is Reason.TIMEOUT
        assert pair.known[0].milliseconds >= 100
    assert not pair.loop._flying


def test_what_is_kept_when_the_list_changes(pair: Pair) -> None:
    port = closed_port()
    with socket.create_server(("127.0.0.1", 0)) as server:
        up, down = Check("127.0.0.1", server.getsockname()[1], question()), Check("127.0.0.1", port, question())
        pair.ask(up, down)
        pair.until(State.UP, State.DOWN)
        pair.known.clear()
        pair.ask(down, Check("127.0.0.1", port, question(icmp={}, periodSeconds=3600)), up)
        while len(pair.known) < 2:
            pair.step()
        assert [pair.known[number].state for number in sorted(pair.known)[:2]] == [State.DOWN, State.UP]
        assert 0 in pair.known
        assert 2 in pair.known


def test_what_is_no_longer_wanted_is_let_go(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        pair.ask(Check("127.0.0.1", server.getsockname()[1], question(httpGet={}, timeoutSeconds=0.2)))
        while not pair.loop._flying:
            pair.step()
        pair.ask()
        end = time.monotonic() + PATIENCE
        while pair.loop._flying:
            pair.step()
            assert time.monotonic() < end
        for _step in range(3):
            pair.step()
    assert pair.known == {}


def test_with_too_few_descriptors_it_is_late_and_not_wrong(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server, closing(Pair(tmp_path / "s", most=3)) as pair:
        port = server.getsockname()[1]
        pair.ask(
            *(Check("127.0.0.1", port, question(failureThreshold=number, tcpSocket={})) for number in range(1, 41))
        )
        flying = 0
        end = time.monotonic() + PATIENCE
        while len(pair.known) < 40:
            pair.step()
            flying = max(flying, len(pair.loop._flying))
            assert time.monotonic() < end
        assert flying <= 3
        assert {record.state for record in pair.known.values()} == {State.UP}


def test_after_a_standstill_turns_are_spread_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        port = server.getsockname()[1]
        said = question(periodSeconds=60, tcpSocket={})
        pair.ask(*(Check(f"127.0.0.{number}", port, said) for number in range(1, 41)))
        while not list(pair.loop._subjects):
            pair.step()
        monkeypatch.setattr(checker, "_clock", lambda: time.monotonic() + 1000)
        pair.step()
        due = sorted(subject.due for subject in pair.loop._subjects)
        assert due[0] > time.monotonic() + 1000 - 1
        assert due[-1] - due[0] > 30, "not all at once"
        assert len(pair.loop._flying) < 10


def test_what_this_node_cannot_ask_is_not_down(pair: Pair, tmp_path: Path) -> None:
    program = {"command": [str(tmp_path / "none")]}
    pair.ask(Check("127.0.0.1", 1, question(exec=program)), Check("127.0.0.1", 1, "{}"))
    pair.until(State.UNKNOWN, State.UNKNOWN)
    assert [pair.known[number].reason for number in (0, 1)] == [Reason.NO_PROGRAM, Reason.NO_QUESTION]


def test_a_fault_of_ours_is_not_the_endpoint_s(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("sluice.health.http.verdict", fail)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        pair.ask(Check("127.0.0.1", server.getsockname()[1], question(httpGet={})))
        links = []
        while not pair.known:
            pair.step()
            with suppress(BlockingIOError):
                links.append(server.accept()[0])
                links[-1].sendall(b"x")
        for link in links:
            link.close()
    assert pair.known[0][1:3] == (State.UNKNOWN, Reason.LOCAL)


def test_heartbeats_say_what_was_done(pair: Pair) -> None:
    pair.ask(Check("127.0.0.1", closed_port(), question()))
    pair.until(State.DOWN)
    end = time.monotonic() + PATIENCE
    while pair.supervisor.heartbeat is None or pair.supervisor.heartbeat.done < 3:
        pair.step()
        assert time.monotonic() < end
    assert pair.supervisor.heartbeat.generation == 1


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    one, other = socket.socketpair()
    with one, other, closing(checker.Loop(str(tmp_path / "none"), 10)) as loop:
        loop.watch(one)
        assert loop.step()
        other.send(b"x")
        while select.select([one], [], [], 0)[0] and loop.step():
            pass
        assert not loop.step()


def test_what_cannot_even_begin_says_nothing_of_the_endpoint(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise UnicodeEncodeError("ascii", "ä", 0, 1, "")

    monkeypatch.setattr("sluice.health.execs.trust.others", fail)
    pair.ask(Check("127.0.0.1", 80, question(exec={"command": ["/bin/true"]})))
    pair.until(State.UNKNOWN)
    assert pair.known[0].reason is Reason.LOCAL


def test_what_was_read_is_not_kept_until_its_time_is_over(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = question(httpGet={}, periodSeconds=60, timeoutSeconds=60)
        pair.ask(Check("127.0.0.1", server.getsockname()[1], said))
        while not list(pair.loop._subjects):
            pair.step()
        (subject,) = pair.loop._subjects
        pair.loop._begin(subject, time.monotonic())
        link = server.accept()[0]
        link.sendall(b"garbage\n")
        while subject.flying >= 0:
            pair.step()
        link.close()
    assert not [each for each in gc.get_objects() if isinstance(each, http.Attempt)]
    assert pair.loop._deadlines.next() is not None
