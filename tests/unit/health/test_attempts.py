"""The sockets of attempts: from which address they ask, and what becomes of errors."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

import pytest
from asking import closed_port, target

from sluice.health.attempts import failure, opened, stream
from sluice.health.reasons import Reason


def test_from_which_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = stream(target({"tcpSocket": {}}, "127.0.0.1", server.getsockname()[1], source="127.0.0.9"))
        accepted, peer = server.accept()
        accepted.close()
        link.close()
    assert peer[0] == "127.0.0.9"


def test_from_which_port() -> None:
    """Several at a time may have it, towards other endpoints; where somebody listens there it is another one."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _each in range(2)]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        peers = []
        for server in servers:
            asked = target({"tcpSocket": {}}, "127.0.0.1", server.getsockname()[1])
            stack.enter_context(contextlib.closing(stream(asked._replace(source_port=port))))
            accepted, peer = server.accept()
            stack.enter_context(accepted)
            peers.append(peer[1])
        assert peers == [port, port]
        taken = servers[0].getsockname()[1]
        asked = target({"tcpSocket": {}}, "127.0.0.1", servers[1].getsockname()[1])
        stack.enter_context(contextlib.closing(stream(asked._replace(source_port=taken))))
        accepted, peer = servers[1].accept()
        stack.enter_context(accepted)
        assert peer[1] != taken


def test_an_address_that_is_not_here() -> None:
    with pytest.raises(OSError, match=r".") as caught:
        opened(target({"tcpSocket": {}}, "127.0.0.1", 80, source="192.0.2.1"), socket.SOCK_STREAM)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_refused_connection() -> None:
    try:
        link = stream(target({"tcpSocket": {}}, "127.0.0.1", closed_port()))
    except ConnectionRefusedError:
        return
    with contextlib.closing(link):
        assert failure(link) is Reason.REFUSED


def test_a_socket_neither_blocks_nor_is_inherited() -> None:
    with contextlib.closing(opened(target({"tcpSocket": {}}, "::1", 80), socket.SOCK_STREAM)) as link:
        assert not link.getblocking()
        assert not os.get_inheritable(link.fileno())
        assert link.family == socket.AF_INET6
