"""The ports on which this node answers for its health, in a loop that does other things as well."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Mapping

from .. import addresses
from ..system import sockets
from .answers import Answer, Handler, Place
from .connections import Connection, Connections

AGAIN = 30.0
"""Seconds until a port that could not be opened is tried again."""

REST = 1.0
"""Seconds in which nobody is let in after the kernel had no room for another connection."""

_BACKLOG = 1024
"""Who comes while as many wait comes again after a second (listen(2)): a router takes that for a failure."""

_TOGETHER = 64
"""Connections that are let in before others have their turn."""

_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_IN_USE = os.strerror(errno.EADDRINUSE)


class Listener:
    """A port that is open."""

    __slots__ = ("place", "socket")

    def __init__(self, place: Place) -> None:
        """Open it. Raises OSError."""
        self.place = place
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # the same port of IPv4 is another place
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.socket.bind(place)
            self.socket.listen(_BACKLOG)
        except BaseException:
            self.socket.close()
            raise


class Listeners:
    """Ports and those who ask there, among the other things of ``selector``. Times are of ``time.monotonic``.

    Not for several threads.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._handlers: Mapping[Place, Handler] = {}
        self._open: dict[Place, Listener] = {}
        self._failed: dict[Place, str] = {}
        """What spoke against opening a port, as it was said."""
        self._lines: list[str] = []
        self._again = float("inf")
        self._resting = float("inf")
        self._connections = Connections(selector, self._answer)

    def listen(self, wanted: Mapping[Place, Handler]) -> list[str]:
        """Answer on these ports and no others. A line for each that cannot be opened, unless that was said before.

        What is open stays open, also for those who are connected; from now on the new handler answers.
        """
        for place in [place for place in self._open if place not in wanted]:
            self._shut(place)
        self._handlers = dict(wanted)
        self._try()
        lines, self._lines = self._lines, []
        return lines

    def places(self) -> list[Place]:
        """Where it answers; the port that the kernel chose where 0 was wanted."""
        return [listener.socket.getsockname()[:2] for listener in self._open.values()]

    @staticmethod
    def owns(key: selectors.SelectorKey) -> bool:
        """Whether what has happened in the selector is for ``handle``."""
        return isinstance(key.data, (Listener, Connection))

    def handle(self, key: selectors.SelectorKey, events: int) -> None:
        """Go on where something has happened."""
        which = key.data
        if isinstance(which, Connection):
            self._connections.handle(which, events)
        elif isinstance(which, Listener) and self._open.get(which.place) is which and self._resting == float("inf"):
            self._let_in(which)

    def due(self) -> float:
        """When ``expire`` has something to do; infinite where nothing waits."""
        return min(self._connections.due(), self._again, self._resting)

    def wait(self) -> float | None:
        """Seconds until then, as ``select`` takes them; None where nothing waits."""
        due = self.due()
        return None if due == float("inf") else max(due - time.monotonic(), 0.0)

    def expire(self, now: float) -> None:
        """Close what has taken too long, and try again what could not be opened."""
        self._connections.expire(now)
        if now >= self._resting:
            self._resting = float("inf")
            for listener in self._open.values():
                self._selector.register(listener.socket, selectors.EVENT_READ, listener)
        if now >= self._again:
            self._try()

    def close(self) -> None:
        """Close all."""
        for place in list(self._open):
            self._shut(place)
        self._connections.close_all()
        self._handlers = {}
        self._again = float("inf")

    def _answer(self, place: Place, path: str) -> Answer | None:
        handler = self._handlers.get(place)
        return handler.answer(path) if handler else None

    def _shut(self, place: Place) -> None:
        listener = self._open.pop(place)
        with contextlib.suppress(KeyError):  # while it rests
            self._selector.unregister(listener.socket)
        listener.socket.close()
        self._connections.close_all(place)

    def _try(self) -> None:
        """Open what is wanted and not open."""
        failed: dict[Place, OSError] = {}
        for place in self._handlers:
            if place not in self._open:
                try:
                    self._open[place] = Listener(place)
                except OSError as error:
                    failed[place] = error
                    continue
                if self._resting == float("inf"):
                    self._selector.register(self._open[place].socket, selectors.EVENT_READ, self._open[place])
        texts = {place: error.strerror or str(error) for place, error in failed.items()}
        self._say({place: text for place, text in texts.items() if self._failed.get(place) != text})
        self._failed = texts
        self._again = time.monotonic() + AGAIN if failed else float("inf")

    def _say(self, failed: Mapping[Place, str]) -> None:
        in_use = {place[1] for place, text in failed.items() if text == _IN_USE}
        holders = sockets.holders(in_use) if in_use else {}
        for place, text in failed.items():
            who = f": {holders[place[1]]} has it" if place[1] in holders and text == _IN_USE else ""
            self._lines.append(f"{self._handlers[place].name}: {addresses.host_port(*place)}: {text}{who}")

    def _let_in(self, listener: Listener) -> None:
        for _turn in range(_TOGETHER):
            try:
                found, _address = listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Else it is one that has gone again (accept(2)).
                if error.errno in _NO_ROOM and not self._connections.drop_one():
                    self._rest()
                    return
                continue
            try:
                self._connections.add(found, listener.place)
            except OSError:
                found.close()

    def _rest(self) -> None:
        """Let nobody in for a while: who waits would wake this process again and again."""
        for listener in self._open.values():
            self._selector.unregister(listener.socket)
        self._resting = time.monotonic() + REST
