"""The node's own timer for a change that nobody confirms.

Independent of whoever asked for the change: a transient unit of systemd, or where there is no systemd a process of
its own session that sleeps. Either ends in ``sluice rollback --unconfirmed CHANGE``, which leaves every other change
alone: when the timer of one is stopped it may have fired already, and wait for the node's lock.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

from .iptables_kernel import KernelError
from .units import COMMAND

UNIT = "sluice-rollback"
_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def arm(seconds: int, change: str) -> str:
    """Start the timer that takes ``change`` back; returns what ``disarm`` needs.

    Raises KernelError: then no change may be made.
    """
    if not os.access(COMMAND, os.X_OK):
        raise KernelError(f"{COMMAND} is not installed: nothing could take an unconfirmed change back")
    rollback = [COMMAND, "rollback", "--unconfirmed", change]
    if has_systemd():
        unit = f"{UNIT}-{change}"
        # systemd lets timers be a minute late unless told otherwise.
        options = ["--quiet", "--collect", f"--unit={unit}", f"--on-active={seconds}"]
        command = ["systemd-run", *options, "--timer-property=AccuracySec=100ms", *rollback]
        result = subprocess.run(command, capture_output=True, text=True, env={"PATH": _PATH}, check=False)
        if result.returncode:
            raise KernelError(f"systemd-run: {' '.join(result.stderr.split())}")
        return unit
    return _detached(["/bin/sh", "-c", f'sleep {seconds}; exec "$@"', UNIT, *rollback])


def repeat(unit: str, seconds: int, file: str, *words: str) -> None:
    """Have the sluice command run every so many seconds, until ``end``. A timer that runs already is fine.

    Without systemd a process of its own does it, as long as ``file`` is there.
    """
    command = [COMMAND, *words]
    if has_systemd():
        options = ["--quiet", "--collect", f"--unit={unit}", f"--on-active={seconds}", f"--on-unit-inactive={seconds}"]
        timed = ["systemd-run", *options, "--timer-property=AccuracySec=100ms", *command]
        subprocess.run(timed, capture_output=True, env={"PATH": _PATH}, check=False)
    elif os.access(COMMAND, os.X_OK):
        loop = f'while sleep {seconds} && [ -e {file} ]; do "$@"; done'
        _detached(["flock", "--nonblock", f"/run/{unit}.lock", "/bin/sh", "-c", loop, unit, *command])


def end(unit: str) -> None:
    """End what ``repeat`` started."""
    if has_systemd():
        _stop(f"{unit}.timer")


def _detached(command: list[str]) -> str:
    """Start a process of a session of its own; returns what says which one it is."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": _PATH},
        cwd="/",
        start_new_session=True,
    ) as process:
        process.returncode = 0  # it outlives us: nobody waits for it
        return f"{process.pid} {_start_time(process.pid)}"


def disarm(timer: str) -> None:
    """Stop the timer; one that is not there any more is fine."""
    if timer.startswith(UNIT):
        _stop(f"{timer}.timer")
        return
    pid, _blank, started = timer.partition(" ")
    # A process id is used again sooner or later: only with the same start is it ours.
    if pid.isdigit() and int(pid) != os.getpid() and _start_time(int(pid)) == started:
        os.killpg(int(pid), signal.SIGKILL)


def _stop(unit: str) -> None:
    subprocess.run(["systemctl", "stop", unit], capture_output=True, env={"PATH": _PATH}, check=False)


def has_systemd() -> bool:
    """Whether systemd runs this node, as sd_booted(3) finds out."""
    return os.path.isdir("/run/systemd/system") and shutil.which("systemd-run", path=_PATH) is not None


def _start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat: the clock tick at which the process started; empty where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""
