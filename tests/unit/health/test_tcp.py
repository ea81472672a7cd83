"""TCP: up is a connection, of which an application hears only if that was asked for."""

from __future__ import annotations

import select
import socket

import pytest
from asking import LOOPBACK, ask, closed_port, serving, target

from sluice.health.reasons import Reason


@pytest.mark.parametrize("family", LOOPBACK)
@pytest.mark.parametrize("said", [{}, {"accept": True}])
def test_what_listens_is_up(family: socket.AddressFamily, said: dict[str, bool]) -> None:
    with socket.create_server((LOOPBACK[family], 0), family=family) as server:
        port = server.getsockname()[1]
        assert ask(target({"tcpSocket": said}, LOOPBACK[family], port)) is Reason.FINE


@pytest.mark.parametrize("said", [{}, {"accept": True}])
def test_a_closed_port_refuses(said: dict[str, bool]) -> None:
    assert ask(target({"tcpSocket": said}, "127.0.0.1", closed_port())) is Reason.REFUSED


def test_the_application_is_not_even_woken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for _check in range(50):
            assert ask(target({"tcpSocket": {}}, "127.0.0.1", port)) is Reason.FINE
        assert select.select([server], [], [], 0.1)[0] == []


def test_with_accept_it_sees_an_orderly_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ask(target({"tcpSocket": {"accept": True}}, "127.0.0.1", server.getsockname()[1])) is Reason.FINE
        link, _peer = server.accept()
        with link:
            assert link.recv(10) == b""


def test_who_resets_at_once_has_taken_the_connection() -> None:
    def reset(link: socket.socket) -> None:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(reset) as (address, port):
        for _check in range(20):
            assert ask(target({"tcpSocket": {"accept": True}}, address, port)) is Reason.FINE
