"""Who asks well is answered, again and again; who asks badly, slowly or too much costs little, and nobody else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from answer_loop import GET, LOOPBACK, Loop, answering, saying

from sluice.node import connections
from sluice.node.answers import Answer, Handler
from sluice.node.connections import BUSY, IDLE, LEAVING, Connection
from sluice.node.http_messages import LONGEST


@pytest.fixture
def loop() -> Iterator[Loop]:
    with answering({LOOPBACK: saying("here")}) as found:
        yield found


def test_one_connection_for_many_requests(loop: Loop) -> None:
    with closing(loop.come()) as client:
        for _time in range(3):
            client.send(GET)
            assert client.answer() == b"here"
    loop.until(lambda: loop.connections == 0)


def test_requests_that_come_together(loop: Loop) -> None:
    with closing(loop.come(GET * 40 + GET[:5])) as client:
        assert [client.answer() for _time in range(40)] == [b"here"] * 40
        client.send(GET[5:])
        assert client.answer() == b"here"


def test_a_request_in_pieces(loop: Loop) -> None:
    with closing(loop.come()) as client:
        for at in range(len(GET)):
            client.send(GET[at : at + 1])
            loop.turn()
        assert client.answer() == b"here"


@pytest.mark.parametrize(
    "data",
    [
        GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        b"GET / HTTP/1.0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    ],
)
def test_the_end_after_an_answer(loop: Loop, data: bytes) -> None:
    with closing(loop.come(data)) as client:
        assert client.all().endswith(b"\r\n\r\nhere")
    loop.until(lambda: loop.connections == 0)


def test_who_sends_an_endless_head_is_told_so(loop: Loop) -> None:
    with closing(loop.come(GET[:-2])) as client:
        client.send(b"X: " + b"x" * LONGEST * 16)
        assert b"431 Request Header Fields Too Large" in client.all()
        # It goes on, and has its answer all the same: what it sends is thrown away, for a while.
        assert loop.connections == 1
        loop.listeners.expire(time.monotonic() + LEAVING)
        assert loop.connections == 0


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"\x16\x03\x01\x00\xf4", GET[:-2] + b"X-A: b\r\n"])
def test_who_does_not_come_to_an_end_is_not_waited_for(loop: Loop, data: bytes) -> None:
    began = time.monotonic()
    with closing(loop.come(data)) as client:
        loop.until(lambda: loop.connections == 1)
        assert began + BUSY <= loop.listeners.due() <= time.monotonic() + BUSY
        # One byte more does not give it more time.
        due = loop.listeners.due()
        client.send(b"X")
        loop.until(lambda: loop.turn() == 0)
        assert loop.listeners.due() == due
        loop.listeners.expire(due)
        assert client.all() == b""
        assert loop.connections == 0


def test_who_has_asked_may_ask_again_for_a_while(loop: Loop) -> None:
    with closing(loop.come(GET)) as client:
        client.answer()
        loop.listeners.expire(time.monotonic() + BUSY)
        client.send(GET)
        assert client.answer() == b"here"
        loop.listeners.expire(time.monotonic() + IDLE)
        assert client.all() == b""


def test_who_reads_nothing_costs_little_and_not_for_long() -> None:
    with answering({LOOPBACK: saying("x" * 2000)}) as loop, closing(loop.come()) as client:
        # Until neither kernel takes any more.
        while True:
            try:
                client.socket.send(GET)
            except BlockingIOError:
                if loop.turn() == 0:
                    break
            else:
                loop.turn()
        which = next(key.data for key in loop.selector.get_map().values() if isinstance(key.data, Connection))
        assert 0 < len(which.sending) <= 2 * LONGEST
        assert len(which.received) <= LONGEST
        with closing(loop.come(GET)) as other:
            assert other.answer() == b"x" * 2000
        loop.listeners.expire(time.monotonic() + BUSY)
        assert which.socket.fileno() == -1


def test_who_is_slow_to_read_misses_nothing() -> None:
    text = "x" * (1 << 22)
    with answering({LOOPBACK: saying(text)}) as loop, closing(loop.come(GET * 3)) as client:
        for _turn in range(10):
            loop.turn()
        assert [client.answer() for _time in range(3)] == [text.encode()] * 3
        client.send(GET)
        assert client.answer() == text.encode()


def test_there_is_room_for_the_next_one(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """First of all in the place of who is between two requests, then of who takes longest."""
    monkeypatch.setattr(connections, "MOST", 3)
    silent = [loop.come()]
    loop.until(lambda: loop.connections == 1)
    idle = loop.come(GET)
    idle.answer()
    silent.append(loop.come())
    loop.until(lambda: loop.connections == 3)
    for gone in (idle, *silent):
        new = loop.come(GET[:-1])
        assert gone.all() == b""
        assert loop.connections == 3
        silent.append(new)
    assert loop.ask() == b"here"
    for each in (idle, *silent):
        each.close()


def test_who_goes_without_a_word(loop: Loop) -> None:
    for data in (b"", GET[:9], GET):
        client = loop.come(data)
        # Its kernel says that it is gone by a reset.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        loop.turn()
        client.close()
        loop.until(lambda: loop.connections == 0)
    assert loop.ask() == b"here"


def test_a_fault_of_an_answer_is_that_connection_s() -> None:
    def fail(_path: str) -> Answer:
        raise RuntimeError("no answer")

    with answering({LOOPBACK: Handler("fails", fail), ("127.0.0.2", 0): saying("here")}) as loop:
        with closing(loop.come(GET)) as client:
            assert client.all() == b""
        assert loop.ask(at=1) == b"here"
