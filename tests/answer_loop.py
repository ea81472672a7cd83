"""Clients of what answers for a node's health, in the thread of its loop: real sockets, and no seconds to wait for."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from places import comes_true

from sluice.node.answers import Answer, Handler, Place
from sluice.node.listeners import Listeners

LOOPBACK: Place = ("127.0.0.1", 0)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def saying(text: str) -> Handler:
    """Answers all with one text."""
    return Handler(text, lambda _path: Answer(200, (), text.encode()))


class Loop:
    """A loop that does nothing but answer. ``lines`` is what it said when the first ports were opened."""

    def __init__(self, wanted: Mapping[Place, Handler]) -> None:
        self.selector = selectors.DefaultSelector()
        self.listeners = Listeners(self.selector)
        self.lines = self.listeners.listen(wanted)

    def turn(self) -> int:
        """Do what there is to do now; how much that was."""
        events = self.selector.select(0)
        for key, happened in events:
            assert self.listeners.owns(key)
            self.listeners.handle(key, happened)
        return len(events)

    def until(self, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            self.turn()
            return condition()

        assert comes_true(holds)

    @property
    def connections(self) -> int:
        return len(self.listeners._connections)

    def come(self, data: bytes = b"", *, at: int = 0) -> Client:
        """Somebody who comes to one of the ports and sends ``data``."""
        return Client(self, socket.create_connection(self.listeners.places()[at]), data)

    def ask(self, data: bytes = GET, *, at: int = 0) -> bytes:
        """The body of the answer to somebody who comes and goes."""
        with closing(self.come(data, at=at)) as client:
            return client.answer()


class Client:
    """``received``: what it has read so far."""

    def __init__(self, loop: Loop, found: socket.socket, data: bytes) -> None:
        self._loop = loop
        self.socket = found
        self.socket.setblocking(False)
        self.received = b""
        self.ended = False
        self.send(data)

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        if data:
            assert self.socket.send(data) == len(data)

    def read(self) -> bool:
        """Read what has come. Whether that is all that will come."""
        try:
            while not self.ended:
                data = self.socket.recv(1 << 16)
                self.received += data
                self.ended = not data
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.ended = True
        return self.ended

    def answer(self) -> bytes:
        """The body of the next answer; not what HEAD asked for."""

        def whole() -> bool:
            self.read()
            head, end, rest = self.received.partition(b"\r\n\r\n")
            return bool(end) and len(rest) >= _length(head)

        self._loop.until(whole)
        head, _end, rest = self.received.partition(b"\r\n\r\n")
        length = _length(head)
        self.received = rest[length:]
        return rest[:length]

    def all(self) -> bytes:
        """What comes until the connection is closed."""
        self._loop.until(self.read)
        return self.received


def _length(head: bytes) -> int:
    return next(int(line.split()[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))


@contextmanager
def answering(wanted: Mapping[Place, Handler]) -> Iterator[Loop]:
    """A loop that answers on these ports."""
    loop = Loop(wanted)
    try:
        yield loop
    finally:
        loop.listeners.close()
        loop.selector.close()
