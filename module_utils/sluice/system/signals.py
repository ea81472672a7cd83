"""How a process that goes on is asked to end."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def until_ended() -> Iterator[socket.socket]:
    """A socket that can be read from when this process was asked to end (SIGTERM, SIGINT)."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    with reader, writer:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(before)
