"""One process holds a lock at a time, those that wait say who has it, and what it started holds it on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.system import locks, tools
from sluice.system.tools import NodeError

HOLD = """
import fcntl, sys
with open(sys.argv[1], "a") as stream:
    fcntl.flock(stream, fcntl.LOCK_EX)
    print(flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path() -> Iterator[str]:
    """In memory, as /run is: of some file systems /proc/locks has other device numbers than stat(2)."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield f"{folder}/lock"


@pytest.fixture
def other(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock until its input ends."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        yield process
        process.stdin.close()


def test_who_waits_says_who_has_it(path: str, other: subprocess.Popen[bytes]) -> None:
    with pytest.raises(NodeError) as caught, locks.held(path, 0, "busy: {}"):
        pass
    assert str(caught.value) == f"busy: {locks.holder(path)}"
    assert locks.holder(path).endswith(f" (pid {other.pid})")


def test_who_waits_gets_it(path: str, other: subprocess.Popen[bytes]) -> None:
    assert other.stdin
    threading.Timer(0.2, other.stdin.close).start()
    with locks.held(path, 60, "busy: {}"):
        assert locks.holder(path).endswith(f"(pid {os.getpid()})")
        assert other.wait() == 0


def test_it_is_free_afterwards(path: str) -> None:
    for _ in range(2):
        with locks.held(path, 0, "busy: {}"):
            assert "cannot be seen" not in locks.holder(path)
    assert locks.holder(path) == "a process that cannot be seen from here"


def test_what_was_started_under_it_holds_it_on(path: str) -> None:
    with locks.held(path, 0, "busy: {}"):
        finish = tools.start(["sh", "-c", 'until [ -e "$0" ]; do sleep 0.02; done', f"{path}.end"])
    with pytest.raises(NodeError), locks.held(path, 0, "busy: {}"):
        pass
    Path(f"{path}.end").touch()
    assert finish().returncode == 0
    with locks.held(path, 0, "busy: {}"):
        pass


def test_one_apply_at_a_time(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SECONDS", 0)
    busy = r"^another apply is running: .* holds .*/run/sluice\.lock$"
    with locks.one_apply(), pytest.raises(NodeError, match=busy), locks.one_apply():
        pass


def test_nobody_else_may_take_it(path: str) -> None:
    """Who may open a file may lock it, for ever. An older version made it readable for all."""
    before = os.umask(0)
    try:
        for _ in range(2):
            with locks.held(path, 0, "busy: {}"):
                assert os.stat(path).st_mode & 0o777 == 0o600
            os.chmod(path, 0o644)
    finally:
        os.umask(before)


def test_it_is_no_link(path: str) -> None:
    os.symlink("/nowhere", path)
    with pytest.raises(OSError), locks.held(path, 0, "busy: {}"):
        pass
