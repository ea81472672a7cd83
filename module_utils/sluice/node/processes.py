"""The two processes of health on a node that no systemd runs: each has a loop that starts it again.

A loop is a session of its own, whose leader is noted in a file. What runs in it is found by the session, so that it
can be ended also where somebody has killed the loop alone. All of it ends with the PID namespace that it runs in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence

from ..system import linux, owned_files, tools
from .supervisor import FOLDER
from .units import COMMAND

PARTS = ("supervise", "check")
"""The options of ``sluice health`` that make it one of the two."""

_LOOP = 'while [ -x "$1" ]; do "$@"; sleep 1; done'
"""Ends with the command. It stays as short as it is while the command is replaced: that is one move."""

_SECONDS = 10.0
"""For which what is to end may finish what it does."""


def differing(wanted: bool) -> list[str]:
    """The parts whose loop does not run and is ``wanted``, or of which something runs and is not."""
    return _missing() if wanted else [part for part in PARTS if _members(part)]


def _missing() -> list[str]:
    """The parts whose loop does not run."""
    return [part for part in PARTS if _noted(part)[0] not in _members(part)]


def start() -> None:
    """Start what is missing. Raises NodeError."""
    for part in _missing():
        _end([part])  # what a loop has left that was killed
        pid = tools.detach(["/bin/sh", "-c", _LOOP, f"sluice-health-{part}", COMMAND, "health", f"--{part}"])
        owned_files.write({_file(part): f"{pid} {linux.start_time(pid)}\n"}, sync=False)


def end() -> None:
    """End both, and what they have started."""
    _end(PARTS)


def _end(parts: Sequence[str]) -> None:
    until = time.monotonic() + _SECONDS
    number = signal.SIGTERM
    while True:
        left = [pid for part in parts for pid in _members(part)]
        if not left:
            break
        if time.monotonic() > until:
            number = signal.SIGKILL
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(0.05)
    owned_files.write(dict.fromkeys(map(_file, parts)))


def _file(part: str) -> str:
    return f"{FOLDER}/{part}.pid"


def _noted(part: str) -> tuple[int, str]:
    """The leader of a part's session, and when it started; 0 where none is noted."""
    pid, _blank, started = owned_files.shown(_file(part)).strip().partition(" ")
    return (int(pid), started) if pid.isdigit() and started else (0, "")


def _members(part: str) -> list[int]:
    """What runs in a part's session. Where the leader has gone its number may be that of another session by now."""
    pid, started = _noted(part)
    if not pid or linux.start_time(pid) not in (started, ""):
        return []
    members = linux.session(pid)
    return members if pid in members else [each for each in members if _runs_command(each)]


def _runs_command(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return COMMAND.encode() in stream.read().split(b"\0")
    except OSError:
        return False
