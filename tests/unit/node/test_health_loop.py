"""The loop tells a checker that comes what to ask, hears it, and tells whoever asks what is known."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import comes_true

from sluice.health import wire
from sluice.health.reasons import Reason, State
from sluice.node import health_report, supervisor
from sluice.node.health_loop import Loop
from sluice.node.rendering import Use
from sluice.node.supervisor import CHECKS, Asking, Supervisor

A, B = ("10.1.0.1", 80, '{"tcpSocket":{}}'), ("10.1.0.2", 80, '{"tcpSocket":{}}')
ASKING = Asking(3, "lb1", "", {each: [Use("shop/web", "tcp", each[0], 80, "keep")] for each in (A, B)})


@pytest.fixture
def found(node_root: Path) -> Iterator[Supervisor]:
    """A supervisor with a loop, and nobody who changes the kernel."""
    Path(supervisor.FOLDER).mkdir(parents=True)
    Path(health_report.SOCKET).parent.mkdir(parents=True, exist_ok=True)
    running = Supervisor()
    ended, end = socket.socketpair()
    with ended, end, contextlib.closing(Loop(running, ended)) as loop:

        def step() -> None:
            while loop.step():
                pass

        serving = threading.Thread(target=step)
        serving.start()
        ask(running, ASKING)
        yield running
        end.send(b"!")
        serving.join(60)
    running.close()


def ask(running: Supervisor, asking: Asking) -> None:
    with running.lock:
        running.asking = asking
        running.verdicts.ask_for(asking.checks)
    running._tell(CHECKS)


@contextlib.contextmanager
def checker() -> Iterator[wire.Checker]:
    link = wire.connect(supervisor.SOCKET)
    assert link is not None
    found = wire.Checker(link)
    yield found
    found.close()


def told(coming: wire.Checker, generation: int) -> dict[str, int]:
    """The numbers of the checks in the list of this generation, by address."""
    lists: list[wire.List] = []

    def has_come() -> bool:
        received = coming.receive()
        lists.extend([received] if received else [])
        return bool(lists) and lists[-1].generation == generation

    assert comes_true(has_come)
    return {check.address: number for number, check in lists[-1].checks}


def rows() -> dict[str, str]:
    with socket.socket(socket.AF_UNIX) as asks:
        asks.connect(health_report.SOCKET)
        with asks.makefile() as stream:
            return {each["address"]: each["state"] for each in json.loads(stream.read())["checks"]}


def test_a_checker_that_comes_is_told_and_heard(found: Supervisor) -> None:
    with checker() as coming:
        numbers = told(coming, 3)
        coming.post(3, [wire.Record(numbers[A[0]], State.DOWN, Reason.REFUSED, 2)])
        assert found.changed.wait(60)
        assert found.verdicts.down == {A}
        assert rows() == {A[0]: "down", B[0]: "unknown"}


def test_other_checks_are_told_and_what_was_said_of_those_before_is_not_believed(found: Supervisor) -> None:
    with checker() as coming:
        numbers = told(coming, 3)
        ask(found, ASKING._replace(generation=4, checks={B: ASKING.checks[B]}))
        assert told(coming, 4) == {B[0]: 0}
        coming.post(3, [wire.Record(numbers[A[0]], State.DOWN, Reason.REFUSED, 2)])
        coming.post(4, [wire.Record(0, State.UP, Reason.FINE, 2)])
        assert comes_true(lambda: rows() == {B[0]: "up"})
        assert found.verdicts.down == frozenset()


def test_a_checker_that_goes_and_one_that_comes_instead(found: Supervisor) -> None:
    with checker() as first:
        told(first, 3)
        with checker() as second:
            numbers = told(second, 3)
            second.post(3, [wire.Record(numbers[B[0]], State.DOWN, Reason.TIMEOUT, 2)])
            assert found.changed.wait(60)
            with pytest.raises(ConnectionError):
                while True:
                    first.receive()
                    time.sleep(0.01)
    with checker() as third:
        told(third, 3)
    assert found.verdicts.down == {B}
