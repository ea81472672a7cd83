"""Programs: how they end is what counts, nothing of them stays, and only root's may be run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asking import ask, outcome, target

from sluice.health import execs
from sluice.health.reasons import Reason


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/bin/true"], Reason.FINE),
        (["/bin/false"], Reason.EXIT_CODE),
        (["/bin/sh", "-c", 'test "$0 $1" = "[::1] x80y"', "[{address}]", "x{port}y"], Reason.FINE),
        (["/bin/sh", "-c", 'test "$SLUICE_ADDRESS $SLUICE_PORT" = "::1 80"'], Reason.FINE),
        (["/bin/sh", "-c", "kill -9 $$"], Reason.KILLED),
        (["/bin/sh", "-c", "kill -PIPE $$"], Reason.KILLED),
        (["/bin/sh", "-c", "read line || test $? = 1"], Reason.FINE),
        (["/nowhere/at/all"], Reason.NO_PROGRAM),
        (["/bin/true/x"], Reason.NO_PROGRAM),
        (["/etc/passwd"], Reason.NO_PROGRAM),
        (["/etc"], Reason.NO_PROGRAM),
    ],
)  # fmt: skip
def test_how_they_end(command: list[str], reason: Reason) -> None:
    assert ask(target({"exec": {"command": command}}, "::1", 80)) is reason


def test_no_shell_looks_at_what_an_endpoint_is() -> None:
    assert execs.arguments(("/bin/x", "{address}", "a{port}{port}", "{other}"), "::1", 9) == [
        *("/bin/x", "::1", "a99", "{other}")
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of root's needs root")
@pytest.mark.parametrize(("mode", "owner", "reason"), [(0o755, 0, 0), (0o757, 0, 131), (0o755, 65534, 131)])
def test_only_what_nobody_but_root_may_write(mode: int, owner: int, reason: int) -> None:
    # Below a folder that others may write to nothing is safe, so not below tmp_path.
    path = Path(f"/run/sluice-test-{os.getpid()}")
    try:
        path.write_text("#!/bin/sh\n")
        os.chown(path, owner, 0)
        path.chmod(mode)
        assert ask(target({"exec": {"command": [str(path)]}}, "::1", 80)) == reason
    finally:
        path.unlink()


def test_what_is_not_waited_for_is_killed_with_its_group(tmp_path: Path) -> None:
    script = f"echo $$ >{tmp_path}/first; sleep 1000 & echo $! >{tmp_path}/second; sleep 1000"
    attempt = execs.Attempt(target({"exec": {"command": ["/bin/sh", "-c", script]}}, "::1", 80))
    until = time.monotonic() + 60
    while not (tmp_path / "second").exists() or not (tmp_path / "second").read_text().endswith("\n"):
        assert time.monotonic() < until
        time.sleep(0.01)
    attempt.close()
    for name in ("first", "second"):
        pid = int((tmp_path / name).read_text())
        while running(pid):
            assert time.monotonic() < until
            execs._reap(pid)
            time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    # Where nobody waits for orphans they stay as zombies.
    return state != "Z"


def test_what_a_program_leaves_behind_is_found() -> None:
    """In a process of its own: ``tidy`` kills all children that it does not know."""
    script = """
import ctypes, os, sys, time
from asking import ask, target
from sluice.health import execs
from sluice.health.reasons import Reason
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
assert ask(target({"exec": {"command": ["/bin/sh", "-c", "setsid sleep 1000 & sleep 0.3"]}}, "::1", 80)) is Reason.FINE
until = time.monotonic() + 60
while execs._children():
    assert time.monotonic() < until
    execs.tidy()
    time.sleep(0.01)
execs.tidy()
"""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_signals_are_as_usual_there() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        command = ["/bin/sh", "-c", "kill -TERM $$; exit 0"]
        assert ask(target({"exec": {"command": command}}, "::1", 80)) is Reason.KILLED
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_attempt_is_a_descriptor_of_its_end() -> None:
    attempt = execs.Attempt(target({"exec": {"command": ["/bin/true"]}}, "::1", 80))
    assert outcome(attempt) is Reason.FINE
    descriptor = attempt.fileno()
    attempt.close()
    with pytest.raises(OSError, match=r"."):
        os.fstat(descriptor)
