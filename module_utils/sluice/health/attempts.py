"""What all kinds of checks share: the endpoint that is asked, one attempt to ask it, and the socket for that."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from typing import Any, NamedTuple, Protocol

from ..probes import Probe
from .reasons import Reason, of_errno

IN, OUT = select.EPOLLIN, select.EPOLLOUT

_BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT (ip(7)), which Python does not name before 3.14."""

ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: a close sends a reset, and forgets the connection at once (socket(7))."""


class LocalError(OSError):
    """This node cannot ask, for a ``reason`` that no error number tells."""

    def __init__(self, reason: Reason) -> None:
        super().__init__()
        self.reason = reason


class Target(NamedTuple):
    """One endpoint and what it is asked.

    ``prepared`` is what the kind made of the probe, once for all that are asked the same. ``source`` is the address to
    ask from, or empty, ``source_port`` the port, or 0. ``memory`` is the kind's own from one attempt to the next.
    """

    address: str
    port: int
    probe: Probe
    prepared: Any
    source: str
    memory: dict[str, Any]
    source_port: int = 0

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET


class Attempt(Protocol):
    """One question that is under way, on a file descriptor that epoll(7) watches for ``wants``."""

    wants: int

    def fileno(self) -> int: ...

    def step(self, events: int) -> Reason | None:
        """Go on with what came: what has come of it, None where that is not known yet. Raises OSError."""

    def close(self) -> None:
        """Leave nothing behind, whether it came to an end or not."""


def opened(target: Target, kind: int, protocol: int = 0) -> socket.SocketType:
    """A socket of ``kind`` to ask ``target``, from the address that it is asked from. Raises OSError."""
    found = socket.SocketType(target.family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        if target.source_port and _bound(found, target):
            return found
        if target.source:
            # The port is chosen with the connection then, and need only be free towards this endpoint.
            found.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            found.bind((target.source, 0))
    except OSError:
        found.close()
        raise
    return found


def _bound(link: socket.SocketType, target: Target) -> bool:
    """Whether ``link`` could be given its source port, which others may have towards other endpoints."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        link.bind((target.source, target.source_port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False  # somebody listens there
    return True


def stream(target: Target) -> socket.SocketType:
    """A TCP connection to ``target`` that has begun. Whenever it is closed that is a reset. Raises OSError.

    No connection that ends so waits in TIME_WAIT here, and nothing that the endpoint still sends is waited for.
    """
    link = opened(target, socket.SOCK_STREAM)
    try:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        begin(link, target)
    except OSError:
        link.close()
        raise
    return link


def begin(link: socket.SocketType, target: Target) -> None:
    """Connect ``link`` to ``target``; what comes of it epoll will say. Raises OSError."""
    number = link.connect_ex((target.address, target.port))
    if number and number != errno.EINPROGRESS:
        raise OSError(number, os.strerror(number))


def failure(link: socket.SocketType) -> Reason | None:
    """Why a connection that was begun did not come about; None where it did."""
    number = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return of_errno(number) if number else None
