"""DNS: up is an answer to the question that was asked."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from asking import LOOPBACK, answering, ask, closed_port, serving, target
from hypothesis import given
from hypothesis import strategies as st

from sluice.health import dns
from sluice.health.reasons import Reason
from sluice.probes import probe

QUESTION = dns.prepare(probe({"dns": {"name": "Shop.example.", "type": "AAAA"}}))
RECORD = b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 60, 16) + b"\0" * 16


def reply(query: bytes, *, code: int = 0, records: int = 1, cut: bool = False, number: int = 0) -> bytes:
    (asked,) = struct.unpack_from("!H", query)
    flags = 0x8180 | code | (0x0200 if cut else 0)
    return struct.pack("!HHHHHH", asked ^ number, flags, 1, records, 0, 0) + query[12:] + RECORD * records


def test_the_question() -> None:
    assert QUESTION == b"\x04Shop\x07example\x00\x00\x1c\x00\x01"
    assert dns.query(7, QUESTION) == struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + QUESTION


@pytest.mark.parametrize("family", LOOPBACK)
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, Reason.FINE),
        ({"records": 0, "cut": True}, Reason.FINE),
        ({"records": 0}, Reason.NO_ANSWER),
        ({"code": 2}, Reason.STATUS),
        ({"code": 3}, Reason.STATUS),
    ],
)
def test_answers(family: socket.AddressFamily, said: dict[str, Any], reason: Reason) -> None:
    with answering(lambda query: [reply(query, **said)], family) as (address, port):
        assert ask(target({"dns": {"name": "shop.example"}}, address, port)) is reason


def over_tcp(*parts: Any, **said: Any) -> Callable[[socket.socket], None]:
    """A server that takes a question and says these parts, of which ``reply`` is the answer behind its length."""

    def talk(link: socket.socket) -> None:
        asked = link.recv(1000)
        assert struct.unpack_from("!H", asked)[0] == len(asked) - 2
        answer = reply(asked[2:], **said)
        whole = struct.pack("!H", len(answer)) + answer
        for part in parts or (whole,):
            link.sendall(whole[part] if isinstance(part, slice) else part)
            time.sleep(0.01)

    return talk


BY_TCP = {"dns": {"name": "shop.example", "protocol": "TCP"}}


@pytest.mark.parametrize("family", LOOPBACK)
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, Reason.FINE),
        ({"records": 0}, Reason.NO_ANSWER),
        ({"code": 2}, Reason.STATUS),
        ({"number": 1}, Reason.GARBAGE),
    ],
)
def test_answers_by_tcp(family: socket.AddressFamily, said: dict[str, Any], reason: Reason) -> None:
    with serving(over_tcp(**said), family) as (address, port):
        assert ask(target(BY_TCP, address, port)) is reason


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((slice(0, 1), slice(1, 2), slice(2, 20), slice(20, None)), Reason.FINE),
        ((slice(0, 60), b"x" * 9000), Reason.FINE),
        ((slice(0, 20),), Reason.GARBAGE),
        ((b"\0",), Reason.GARBAGE),
        ((b"\0\0",), Reason.GARBAGE),
        ((b"\0\x05abcde",), Reason.GARBAGE),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100,), Reason.GARBAGE),
        ((b"",), Reason.CLOSED),
    ],
)
def test_what_comes_in_parts_by_tcp(parts: tuple[slice | bytes, ...], reason: Reason) -> None:
    with serving(over_tcp(*parts)) as (address, port):
        assert ask(target(BY_TCP, address, port)) is reason


def test_nobody_listens_by_tcp() -> None:
    assert ask(target(BY_TCP, "127.0.0.1", closed_port())) is Reason.REFUSED


def test_what_is_about_something_else_is_passed_over() -> None:
    with answering(lambda query: [query, reply(query, number=1), reply(query)]) as (address, port):
        assert ask(target({"dns": {"name": "shop.example"}}, address, port)) is Reason.FINE


def test_garbage() -> None:
    for garbage in (b"", b"x" * 11):
        with answering(lambda _query, said=garbage: [said]) as (address, port):  # type: ignore[misc]
            assert ask(target({"dns": {"name": "shop.example"}}, address, port)) is Reason.GARBAGE
    query = dns.query(7, QUESTION)
    assert dns.verdict(reply(query).replace(b"example", b"exomple"), 7, QUESTION) is Reason.GARBAGE
    assert dns.verdict(reply(query).replace(b"Shop", b"sHOP"), 7, QUESTION) is Reason.FINE


@given(st.binary(max_size=100))
def test_whatever_comes_is_judged(data: bytes) -> None:
    dns.verdict(data, 7, QUESTION)
    dns.verdict(struct.pack("!HH", 7, 0x8180) + data, 7, QUESTION)
