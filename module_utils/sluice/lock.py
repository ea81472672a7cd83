"""One change of a node at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from .iptables_kernel import KernelError, lock_holder

LOCK_FILE = "/run/sluice.lock"
LOCK_SECONDS = 60


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One apply at a time on a node. Waits, and says who holds the lock when time runs out."""
    with open(LOCK_FILE, "a", encoding="ascii") as stream:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    holder = lock_holder(LOCK_FILE)
                    raise KernelError(f"another apply is running: {holder} holds {LOCK_FILE}") from None
                time.sleep(0.05)
        # What changes the kernel inherits the lock: if this process is killed, its last change still comes to an end.
        os.set_inheritable(stream.fileno(), True)
        yield
