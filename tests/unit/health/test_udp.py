"""UDP: up is an answer that holds what is expected."""

from __future__ import annotations

import socket

import pytest
from asking import LOOPBACK, answering, ask, closed_port, target

from sluice.health.reasons import Reason


@pytest.mark.parametrize("family", LOOPBACK)
def test_what_answers(family: socket.AddressFamily) -> None:
    with answering(lambda data: [b"<" + data + b">"], family) as (address, port):
        assert ask(target({"udp": {"send": "ä", "expect": "hex:c3a43e"}}, address, port)) is Reason.FINE
        assert ask(target({"udp": {"send": "ping", "expect": "pong"}}, address, port)) is Reason.BODY
    assert ask(target({"udp": {"send": "x", "expect": "y"}}, LOOPBACK[family], port)) is Reason.REFUSED


def test_a_closed_port() -> None:
    asked = target({"udp": {"send": "x", "expect": "y"}}, "127.0.0.1", closed_port(socket.SOCK_DGRAM))
    assert ask(asked) is Reason.REFUSED
