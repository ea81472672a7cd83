"""Who takes a TCP connection: asked by real connections, on loopback."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from sluice.system import connecting


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def test_who_listens_takes_a_connection_that_is_closed_at_once(listener: socket.socket) -> None:
    place = listener.getsockname()
    assert connecting.refusals([place, place], 60) == {place: ""}
    taken, _from = listener.accept()
    with taken:
        assert taken.recv(1) == b""


def test_who_does_not_refuses() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody else gets it, and nothing listens
        place = bound.getsockname()
        assert connecting.refusals([place], 60) == {place: "refuses"}


def test_who_says_nothing_is_not_waited_for(listener: socket.socket) -> None:
    """A queue that is full takes no more connections, and the kernel drops what comes."""
    listener.listen(0)
    place = listener.getsockname()
    with contextlib.ExitStack() as queued:
        for _ in range(20):
            one = queued.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(place)
        assert connecting.refusals([place], 0.2) == {place: connecting.SILENT}


def test_what_the_kernel_says_is_told() -> None:
    """No connection goes to all hosts."""
    found = connecting.refusals([("255.255.255.255", 80)], 60)
    (said,) = found.values()
    assert said not in ("", "refuses", connecting.SILENT)
    assert connecting.refusals([], 60) == {}
