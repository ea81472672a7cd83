"""Timers of the node's own: for a change that nobody confirms, and for what waits for its connections.

Independent of whoever asked for the change: a transient unit of systemd, or where there is no systemd a process of
its own session that sleeps. The first ends in ``sluice rollback --unconfirmed CHANGE``, which leaves every other
change alone: when the timer of one is stopped it may have fired already, and wait for the node's lock. It is called
again until it has done its work: a lock may be held by somebody, a disk may be full or read-only.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from collections.abc import Sequence

from ..system import linux, locks, tools
from ..system.tools import NodeError
from .units import COMMAND, HARDENING

UNIT = "sluice-rollback"

_UNTIL_DONE = (
    'pause=1; until "$@" || [ ! -e "$1" ]; do echo "$0: tried again in $pause s" >&2; sleep $pause; '
    "[ $pause -ge 60 ] || pause=$((pause * 2)); done"
)
"""Runs a command, with growing pauses, until it succeeds or is removed. What it says is for the journal."""

_TO_SYSLOG = f"logger --tag {UNIT} || while read -r line; do :; done"
"""Without systemd, syslog is the journal. Where there is none either, nobody listens, but what speaks goes on."""


def arm(seconds: int, change: str) -> str:
    """Start the timer that takes ``change`` back; returns what ``disarm`` needs.

    Raises NodeError: then no change may be made.
    """
    if not os.access(COMMAND, os.X_OK):
        raise NodeError(
            f"{COMMAND} {'cannot be run' if os.path.exists(COMMAND) else 'is not installed'}, so nothing could take an "
            "unconfirmed change back: run without --tags once"
        )
    rollback = [COMMAND, "rollback", "--unconfirmed", change]
    if linux.has_systemd():
        unit = f"{UNIT}-{change}"
        result = _transient(unit, [f"--on-active={seconds}"], ["/bin/sh", "-c", _UNTIL_DONE, UNIT, *rollback])
        if result.returncode:
            raise NodeError(f"systemd-run: {tools.reason(result)}")
        return unit
    script = f"{{ sleep {seconds}; {_UNTIL_DONE}; }} 2>&1 | {{ {_TO_SYSLOG}; }}"
    pid = tools.detach(["/bin/sh", "-c", script, UNIT, *rollback])
    return f"{pid} {linux.start_time(pid)}"


def disarm(timer: str) -> None:
    """Stop the timer; one that is not there any more is fine."""
    if timer.startswith(UNIT):
        _stop(f"{timer}.timer")
        return
    pid, _blank, started = timer.partition(" ")
    if pid.isdigit() and int(pid) != os.getpgrp() and linux.start_time(int(pid)) == started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(pid), signal.SIGKILL)


def repeat(unit: str, seconds: int, files: Sequence[str], *words: str) -> None:
    """Have the sluice command run every so many seconds, until ``end``. A timer that runs already is fine.

    Without systemd a process of its own does it, as long as one of ``files`` exists.
    """
    command = [COMMAND, *words]
    if linux.has_systemd():
        _transient(unit, [f"--on-active={seconds}", f"--on-unit-inactive={seconds}"], command)
    elif os.access(COMMAND, os.X_OK):
        exists = " || ".join(f"[ -e {shlex.quote(file)} ]" for file in files)
        loop = f'while sleep {seconds} && {{ {exists}; }}; do "$@"; done'
        os.makedirs(locks.RUN, mode=0o700, exist_ok=True)  # nobody else may take the lock
        tools.detach(["flock", "--nonblock", f"{locks.RUN}/{unit}.lock", "/bin/sh", "-c", loop, unit, *command])


def end(unit: str) -> None:
    """End what ``repeat`` started."""
    if linux.has_systemd():
        _stop(f"{unit}.timer")


def _transient(unit: str, when: Sequence[str], command: Sequence[str]) -> tools.Done[str]:
    """Have systemd run ``command``, hardened where it knows how: an older one refuses what it does not know."""
    # systemd lets timers be a minute late unless told otherwise.
    options = ["--quiet", "--collect", f"--unit={unit}", *when, "--timer-property=AccuracySec=100ms"]
    hardened = tools.run(["systemd-run", *options, *(f"--property={each}" for each in HARDENING), *command])
    return tools.run(["systemd-run", *options, *command]) if hardened.returncode else hardened


def _stop(unit: str) -> None:
    tools.run(["systemctl", "stop", unit])
