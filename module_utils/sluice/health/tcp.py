"""``tcpSocket``: whether a connection comes about.

It ends in a reset before its last packet of the handshake has gone: the endpoint's kernel answers, its application is
not even woken. With ``accept`` the handshake is finished and the end is an orderly one, so that the application sees a
connection that says nothing.
"""

from __future__ import annotations

import socket

from ..probes import Probe
from .attempts import ABORT, OUT, Target, begin, failure, opened
from .reasons import Reason


def prepare(probe: Probe) -> bool:
    """Whether the end is an orderly one."""
    return probe.accept


class Attempt:
    __slots__ = ("_link",)

    wants = OUT

    def __init__(self, target: Target) -> None:
        self._link = link = opened(target, socket.SOCK_STREAM)
        try:
            if not target.prepared:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                # The handshake's last packet would go at once; so it waits for data, and the reset comes first.
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            begin(link, target)
        except OSError:
            link.close()
            raise

    def fileno(self) -> int:
        return self._link.fileno()

    def step(self, events: int) -> Reason | None:
        reason = failure(self._link)
        # What is reset was a connection; a port that is closed refuses.
        return Reason.FINE if reason in (None, Reason.RESET) else reason

    def close(self) -> None:
        self._link.close()
