"""``exec``: whether a program ends well.

No shell is between: ``{address}`` and ``{port}`` are replaced within each argument. A program has a process group of
its own, which is killed when it ends or its time is over; what left that group is found as a child of this process,
which is a subreaper, and killed as well. It runs as the user that the checker runs as, without any input, output or
privilege.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

from ..probes import Probe
from ..system import trust
from .attempts import IN, LocalError, Target
from .reasons import Reason

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

_STANDARD = (
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
    (os.POSIX_SPAWN_DUP2, 0, 1),
    (os.POSIX_SPAWN_DUP2, 0, 2),
)
_CHANGED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT)
"""What Python ignores, or this process handles."""

_ROUNDS, _REST = 50, 0.01
"""How often is looked for what is left at the end, and seconds between two looks."""

_running: set[int] = set()
_killed: set[int] = set()
_ever: set[bool] = set()
"""Programs that are under way, those that were killed and have not ended yet, and whether there ever was one."""


def prepare(probe: Probe) -> tuple[str, ...]:
    return probe.command


class Attempt:
    __slots__ = ("_handle", "_pid")

    wants = IN

    def __init__(self, target: Target) -> None:
        command: tuple[str, ...] = target.prepared
        try:
            if trust.others(command[0]):
                raise LocalError(Reason.NO_PROGRAM)
            self._pid = os.posix_spawn(
                command[0],
                arguments(command, target.address, target.port),
                {**ENVIRONMENT, "SLUICE_ADDRESS": target.address, "SLUICE_PORT": str(target.port)},
                file_actions=_STANDARD,
                setpgroup=0,
                setsigmask=(),
                setsigdef=_CHANGED_SIGNALS,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise LocalError(Reason.NO_PROGRAM) from None
        _ever.add(True)
        _running.add(self._pid)
        try:
            self._handle = os.pidfd_open(self._pid)
        except OSError:
            self._end()
            raise

    def fileno(self) -> int:
        return self._handle

    def step(self, events: int) -> Reason | None:
        ended = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        if ended.si_code != os.CLD_EXITED:
            return Reason.KILLED
        return Reason.EXIT_CODE if ended.si_status else Reason.FINE

    def close(self) -> None:
        os.close(self._handle)
        self._end()

    def _end(self) -> None:
        # While nobody has waited for it, neither its number nor that of its group is anybody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        _running.discard(self._pid)
        _killed.add(self._pid)
        _reap(self._pid)


def arguments(command: tuple[str, ...], address: str, port: int) -> list[str]:
    """The arguments of a program that asks this endpoint; the first one is the program itself."""
    return [each.replace("{address}", address).replace("{port}", str(port)) for each in command]


def tidy() -> None:
    """Wait for what was killed, and kill what programs left behind, which has come to be this process's.

    All its children are programs of checks. To be called every now and then.
    """
    if not _ever:
        return
    for pid in _killed | (_children() - _running):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        _reap(pid)


def end() -> None:
    """Leave no program behind: what is killed leaves its own children to this process, so it takes a few rounds."""
    for _round in range(_ROUNDS):
        tidy()
        if not (_killed or (_ever and _children())):
            return
        time.sleep(_REST)


def _reap(pid: int) -> None:
    """Wait for ``pid`` if it has ended; nothing here waits for one that has not."""
    try:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            _killed.discard(pid)
    except ChildProcessError:
        _killed.discard(pid)


def _children() -> set[int]:
    """This process's children; none where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/children", "rb") as stream:
            return set(map(int, stream.read().split()))
    except OSError:
        return set()
