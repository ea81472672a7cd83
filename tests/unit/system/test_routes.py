"""A host knows the way to itself, and to nobody by an address that is all hosts' at once."""

from __future__ import annotations

import socket

import pytest

from sluice.system import routes


def test_one_answer_is_not_the_next_one_s() -> None:
    """A connected socket keeps its source: behind loopback's, other hosts would seem to be without a route."""
    own = socket.gethostbyname("localhost")
    asked = ["127.0.0.1", "255.255.255.255", own, "127.0.0.2", "255.255.255.255"]
    assert routes.without(asked) == ["255.255.255.255"] * 2
    assert routes.without([]) == []


def test_a_family_that_the_kernel_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_words: object) -> socket.socket:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(routes.socket, "socket", refuse)
    assert routes.without(["::1"]) == ["::1"]
