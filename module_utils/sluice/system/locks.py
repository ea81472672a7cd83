"""Locks by flock(2): one change of a node at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from .tools import NodeError

APPLY_LOCK = "/run/sluice.lock"
RUN = "/run/sluice"
"""What ends with the boot, and nobody but root may look at: mode 0700."""

SECONDS = 60


def one_apply() -> contextlib.AbstractContextManager[None]:
    """One apply at a time on a node. Raises NodeError that names the holder when SECONDS are over."""
    return held(APPLY_LOCK, SECONDS, f"another apply is running: {{}} holds {APPLY_LOCK}")


@contextlib.contextmanager
def held(path: str, seconds: float, message: str) -> Iterator[None]:
    """Hold the lock ``path``. Raises NodeError after ``seconds``: ``message`` with the holder in place of ``{}``.

    The file is its owner's alone: whoever may open it may lock it, for ever.
    """
    with open(path, "a", encoding="ascii", opener=_private) as stream:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise NodeError(message.format(holder(path))) from None
                time.sleep(0.05)
        # What changes the kernel inherits the lock: if this process is killed, its last change still comes to an end.
        os.set_inheritable(stream.fileno(), True)
        yield


def _private(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    if os.fstat(handle).st_mode & 0o077:  # an older version made it so
        os.fchmod(handle, 0o600)
    return handle


def holder(path: str) -> str:
    """Who holds a flock(2) on ``path``, as ``command (pid N)``; from /proc/locks."""
    try:
        status = os.stat(path)
        wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        with open("/proc/locks", encoding="ascii") as stream:
            for fields in map(str.split, stream):
                if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == wanted and int(fields[4]) > 0:
                    with open(f"/proc/{fields[4]}/comm", encoding="utf-8") as name:
                        return f"{name.read().strip()} (pid {fields[4]})"
    except (OSError, ValueError):
        pass
    return "a process that cannot be seen from here"
