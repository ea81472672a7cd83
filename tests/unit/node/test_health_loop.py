"""The loop tells a checker that comes what to ask, hears it, and tells whoever asks what is known."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import comes_true, journal
from prometheus_client.parser import text_string_to_metric_families as parsed

from sluice.health import peers, privileges, wire
from sluice.health.reasons import Reason, State
from sluice.node import health_report, supervisor
from sluice.node import published as published_module
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
    link = peers.connect(supervisor.SOCKET)
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
    return {row.address: row.state for row in health_report.report().checks}


def published() -> dict[str, float]:
    """What the file of metrics says, by name and the values of labels."""
    with contextlib.suppress(FileNotFoundError):
        families = parsed(Path(published_module.FILE).read_text())
        samples = [each for family in families for each in family.samples]
        return {" ".join([each.name[len("sluice_health_") :], *each.labels.values()]): each.value for each in samples}
    return {}


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


def try_as(uid: int) -> str:
    """What a process of this user and the checker's group comes to at the checker's socket."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.chdir(supervisor.FOLDER)  # others may not enter the folders of tests
            os.setgroups([])
            os.setresgid(*[privileges.group()] * 3)
            os.setresuid(uid, uid, uid)
            link = peers.connect(os.path.basename(supervisor.SOCKET))
            said = "no way in"
            if link:
                link.setblocking(True)
                said = "told" if link.recv(1000) else "turned away"
            os.write(writer, said.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be others")
def test_who_is_not_the_checker_is_turned_away(found: Supervisor, node_root: Path) -> None:
    """Though it has the checker's group, as daemons have where the checker is nobody in particular."""
    with checker() as coming:
        numbers = told(coming, 3)
        assert [try_as(4321), try_as(4321)] == ["turned away"] * 2
        coming.post(3, [wire.Record(numbers[A[0]], State.DOWN, Reason.REFUSED, 2)])
        assert comes_true(lambda: rows()[A[0]] == "down"), "the checker that was there is heard on"
    assert health_report.summary().unheeded.refused == 2
    assert journal(node_root) == [
        "health: user 4321 wanted to be the checker: turned away, as others that come will be"
    ]
    assert try_as(privileges.user()) == "told"


def test_metrics_follow_what_is_known(found: Supervisor) -> None:
    assert comes_true(lambda: published().get("checks unknown") == 2)
    assert published()["checker_up"] == 0
    with checker() as coming:
        numbers = told(coming, 3)
        coming.beat(wire.Heartbeat(3, 17, 1, 2500))
        coming.post(3, [wire.Record(numbers[A[0]], State.DOWN, Reason.REFUSED, 2)])
        assert comes_true(lambda: published().get("checks down") == 1)
        told_now = published()
        assert (told_now["checker_up"], told_now["changes_total down"]) == (1, 1)
        assert (told_now["checks_done_total"], told_now["checks_late_seconds"]) == (17, 0.0025)
    assert comes_true(lambda: published()["checker_up"] == 0)


def test_what_is_not_heeded_is_counted_over_all_checkers(found: Supervisor) -> None:
    for count in (1, 2):
        with checker() as coming:
            told(coming, 3)
            coming.post(2, [wire.Record(0, State.DOWN, Reason.REFUSED, 2)])
            coming.post(3, [wire.Record(77, State.DOWN, Reason.REFUSED, 2)])
            assert comes_true(lambda count=count: health_report.summary().unheeded == (count, count, 0))  # type: ignore[misc]
    assert comes_true(lambda: published()["records_dropped_total"] == 2)
    assert published()["records_stale_total"] == 2


def test_nothing_is_published_any_more_at_the_end(node_root: Path) -> None:
    Path(supervisor.FOLDER).mkdir(parents=True)
    Path(health_report.SOCKET).parent.mkdir(parents=True, exist_ok=True)
    running = Supervisor()
    ended, end = socket.socketpair()
    with ended, end, contextlib.closing(Loop(running, ended)) as loop:
        end.send(b"!")
        assert not loop.step()
        assert published()["checker_up"] == 0
    running.close()
    assert published() == {}
