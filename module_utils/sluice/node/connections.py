"""The connections of those who ask for this node's health: what each costs at most, and for how long."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections import OrderedDict
from typing import Callable, Optional

from . import http_messages
from .answers import Answer, Place
from .http_messages import LONGEST, Refusal

MOST = 1000
"""Connections at a time; another one takes the place of the one that would be closed first."""

BUSY = 5.0
"""Seconds from a request's first byte, or the connection's beginning, until its answer is sent."""

IDLE = 60.0
"""Seconds between two requests."""

LEAVING = 1.0
"""Seconds in which a client may read an answer while it still sends what nobody reads."""

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Answering = Callable[[Place, str], Optional[Answer]]
"""The answer on a place to who asks for a path; None where nobody answers there any more."""


class Connection:
    """``received``: what was read and is no whole request yet. ``sending``: what has to be sent before more is read.

    ``last``: it is closed when that is sent; ``unread``: then more of it may come. ``delay``: what it waits for.
    """

    __slots__ = ("delay", "last", "place", "received", "sending", "socket", "unread")

    def __init__(self, found: socket.socket, place: Place) -> None:
        self.socket = found
        self.place = place
        self.received = b""
        self.sending = b""
        self.last = False
        self.unread = False
        self.delay = BUSY


class Connections:
    """All of them. Times are of ``time.monotonic``."""

    def __init__(self, selector: selectors.BaseSelector, answering: Answering) -> None:
        self._selector = selector
        self._answering = answering
        # What waits equally long is closed in the order in which it began to wait. Who is idle is closed before others
        # where there are too many.
        self._waiting: dict[float, OrderedDict[Connection, float]] = {
            delay: OrderedDict() for delay in (IDLE, LEAVING, BUSY)
        }

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, found: socket.socket, place: Place) -> None:
        """Someone has come. Raises OSError, then nobody has."""
        found.setblocking(False)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self) >= MOST:
            self.drop_one()
        new = Connection(found, place)
        self._selector.register(found, _READ, new)
        self._waiting[BUSY][new] = time.monotonic() + BUSY
        # Most often the request is there already.
        self.handle(new, _READ)

    def handle(self, which: Connection, events: int) -> None:
        """Go on with ``which``, which may have been closed in the meantime."""
        if which not in self._waiting[which.delay]:
            return
        try:
            if events & _WRITE:
                self._send(which)
                self._answer(which)
            elif events & _READ:
                self._receive(which)
        except BlockingIOError:
            pass
        except Exception:  # whatever one sends, or has asked for, others are answered
            self.close(which)

    def close(self, which: Connection) -> None:
        """Let ``which`` go; nothing where it is gone."""
        if self._waiting[which.delay].pop(which, None) is not None:
            self._selector.unregister(which.socket)
            which.socket.close()

    def close_all(self, at: Place | None = None) -> None:
        """Let all go, or those that came to ``at``."""
        for which in [each for waiting in self._waiting.values() for each in waiting if at in (None, each.place)]:
            self.close(which)

    def drop_one(self) -> bool:
        """Make room: one that is idle goes, or who has waited longest. False where there is none."""
        for waiting in self._waiting.values():
            if waiting:
                self.close(next(iter(waiting)))
                return True
        return False

    def expire(self, now: float) -> None:
        """Let those go that have waited long enough."""
        for waiting in self._waiting.values():
            while waiting:
                which, until = next(iter(waiting.items()))
                if until > now:
                    break
                self.close(which)

    def due(self) -> float:
        """When the next one has waited long enough; infinite where there is none."""
        return min((next(iter(each.values())) for each in self._waiting.values() if each), default=float("inf"))

    def _wait(self, which: Connection, delay: float) -> None:
        del self._waiting[which.delay][which]
        which.delay = delay
        self._waiting[delay][which] = time.monotonic() + delay

    def _receive(self, which: Connection) -> None:
        if which.last:
            # Closed now, what it still sends would make its kernel throw away the answer (RFC 9112, 9.6).
            if not which.socket.recv(1 << 16):
                self.close(which)
            return
        data = which.socket.recv(LONGEST - len(which.received))
        if not data:
            self.close(which)
            return
        if which.delay == IDLE:
            self._wait(which, BUSY)
        which.received += data
        self._answer(which)

    def _answer(self, which: Connection) -> None:
        """Answer what is whole of what was received, no more at a time than somebody takes."""
        while not which.sending and not which.last:
            asked = http_messages.request(which.received)
            if asked is None:
                return
            if isinstance(asked, Refusal):
                which.last = which.unread = True
                which.sending = asked.text
            else:
                answer = self._answering(which.place, asked.path)
                if answer is None:
                    self.close(which)
                    return
                which.received = which.received[asked.size :]
                which.last, which.unread = asked.last, asked.unread or bool(which.received)
                which.sending = http_messages.response(answer, asked, time.time())
            self._send(which)

    def _send(self, which: Connection) -> None:
        """Send what can be sent, and go on when that is all."""
        with contextlib.suppress(BlockingIOError):
            which.sending = which.sending[which.socket.send(which.sending) :]
        wanted = _WRITE if which.sending else _READ
        if self._selector.get_key(which.socket).events != wanted:
            self._selector.modify(which.socket, wanted, which)
        if which.sending:
            return
        if which.last and which.unread:
            which.socket.shutdown(socket.SHUT_WR)
            self._wait(which, LEAVING)
        elif which.last:
            self.close(which)
        else:
            self._wait(which, BUSY if which.received else IDLE)
