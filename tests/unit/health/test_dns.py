"""DNS: up is an answer to the question that was asked."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
from asking import LOOPBACK, answering, ask, target
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
