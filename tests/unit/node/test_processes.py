"""Where no systemd runs a node, two loops keep health's processes running until they are ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import comes_true, runs, script

from sluice.node import processes
from sluice.system import linux


@pytest.fixture
def calls(node_root: Path) -> Iterator[Path]:
    """The command is one that stays; each call is a line with its pid in this file."""
    path = node_root / "calls"
    script(Path(processes.COMMAND), f'echo "$$ $*" >>{path}; while :; do sleep 0.1; done')
    yield path
    processes.end()


def called(path: Path) -> list[list[str]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted((line.split() for line in lines), key=lambda words: words[-1])


def pid_of(path: Path, part: str) -> int:
    """The last process of a part."""
    return int([words for words in called(path) if words[-1] == f"--{part}"][-1][0])


def test_both_are_started_once_and_ended(calls: Path) -> None:
    assert (bool(processes.differing(wanted=True)), bool(processes.differing(wanted=False))) == (True, False)
    processes.start()
    assert comes_true(
        lambda: [words[1:] for words in called(calls)] == [["health", "--check"], ["health", "--supervise"]]
    )
    assert (bool(processes.differing(wanted=True)), bool(processes.differing(wanted=False))) == (False, True)
    pids = [pid_of(calls, part) for part in processes.PARTS]
    assert len({os.getsid(pid) for pid in pids} - {os.getsid(0)}) == 2, "they outlive who started them"
    processes.start()
    processes.end()
    assert not any(map(runs, pids))
    assert len(called(calls)) == 2
    assert (bool(processes.differing(wanted=True)), bool(processes.differing(wanted=False))) == (True, False)
    assert not list(Path(processes.FOLDER).iterdir())


@pytest.mark.parametrize("part", processes.PARTS)
def test_one_that_is_killed_is_started_again(part: str, calls: Path) -> None:
    processes.start()
    assert comes_true(lambda: len(called(calls)) == 2)
    before = pid_of(calls, part)
    os.kill(before, signal.SIGKILL)
    assert comes_true(lambda: len(called(calls)) == 3)
    assert pid_of(calls, part) != before
    assert not processes.differing(wanted=True)


@pytest.mark.parametrize("part", processes.PARTS)
def test_a_loop_that_is_killed_leaves_no_second_one(part: str, calls: Path) -> None:
    processes.start()
    assert comes_true(lambda: len(called(calls)) == 2)
    old = pid_of(calls, part)
    os.kill(os.getsid(old), signal.SIGKILL)
    assert comes_true(lambda: processes.differing(wanted=True))
    assert runs(old)
    processes.start()
    assert not runs(old)
    assert comes_true(lambda: len(called(calls)) == 3)
    assert not processes.differing(wanted=True)


def test_one_that_does_not_end_is_killed(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_SECONDS", 0.2)
    path = node_root / "calls"
    script(Path(processes.COMMAND), f'trap "" TERM; echo "$$ $*" >>{path}; while :; do sleep 0.1; done')
    processes.start()
    assert comes_true(lambda: len(called(path)) == 2)
    processes.end()
    assert not any(runs(int(words[0])) for words in called(path))


def test_they_end_with_the_command(calls: Path) -> None:
    processes.start()
    assert comes_true(lambda: len(called(calls)) == 2)
    os.unlink(processes.COMMAND)
    for part in processes.PARTS:
        os.kill(pid_of(calls, part), signal.SIGKILL)
    assert comes_true(lambda: not processes.differing(wanted=False))


@pytest.mark.parametrize("noted", ["{own} 1", "4194305 1", "", "nobody", "{own}"])
def test_somebody_else_s_process_is_left_alone(noted: str, node_root: Path) -> None:
    Path(processes.FOLDER).mkdir(parents=True)
    own = os.getsid(0)
    for part in processes.PARTS:
        Path(processes.FOLDER, f"{part}.pid").write_text(noted.format(own=own, start=linux.start_time(own)))
    assert not processes.differing(wanted=False)
    processes.end()


def test_a_session_of_somebody_else_that_has_lost_its_leader(node_root: Path) -> None:
    """It may have come to have the number of one of ours."""
    reader, writer = os.pipe()
    leader = os.fork()
    if not leader:
        os.setsid()
        child = os.fork()
        if not child:
            signal.pause()
        os.write(writer, str(child).encode())
        os._exit(0)
    os.waitpid(leader, 0)
    member = int(os.read(reader, 20))
    try:
        Path(processes.FOLDER).mkdir(parents=True)
        Path(processes.FOLDER, "check.pid").write_text(f"{leader} 1\n")
        assert linux.session(leader) == [member]
        processes.end()
        assert runs(member)
    finally:
        os.kill(member, signal.SIGKILL)
