"""One change of a node at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from ..backends.iptables import kernel as iptables_kernel
from ..backends.iptables.kernel import KernelError, lock_holder

LOCK_FILE = "/run/sluice.lock"
LOCK_SECONDS = 60


def locked() -> contextlib.AbstractContextManager[None]:
    """One apply at a time on a node. Waits, and says who holds the lock when time runs out."""
    return _held(LOCK_FILE, LOCK_SECONDS, f"another apply is running: {{}} holds {LOCK_FILE}")


def xtables() -> contextlib.AbstractContextManager[None]:
    """The lock of iptables-legacy, under which nobody else's tool changes its rules (iptables(8), ``--wait``)."""
    seconds = iptables_kernel.LOCK_SECONDS
    said = f"the xtables lock was not to be had in {seconds} s, {{}} holds it"
    return _held(iptables_kernel.LOCK_FILE, seconds, said)


@contextlib.contextmanager
def _held(path: str, seconds: float, said: str) -> Iterator[None]:
    with open(path, "a", encoding="ascii") as stream:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise KernelError(said.format(lock_holder(path))) from None
                time.sleep(0.05)
        # What changes the kernel inherits the lock: if this process is killed, its last change still comes to an end.
        os.set_inheritable(stream.fileno(), True)
        yield
