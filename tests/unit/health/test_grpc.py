"""gRPC: the least of HTTP/2 that asks a server for its health, against servers that are played by hand."""

from __future__ import annotations

import socket
from typing import Callable

import pytest
from asking import LOOPBACK, ask, closed_port, serving, target
from hypothesis import given
from hypothesis import strategies as st

from sluice.health import grpc
from sluice.health.reasons import Reason
from sluice.probes import probe

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END = 1


def frame(kind: int, flags: int = 0, number: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload


def message(status: bytes) -> bytes:
    return b"\0" + len(status).to_bytes(4, "big") + status


SERVING, NOT_SERVING, UNKNOWN = message(b"\x08\x01"), message(b"\x08\x02"), message(b"")
HELLO = frame(SETTINGS, 0, 0, b"\0\3\0\0\0\x64") + frame(SETTINGS, 1)
OK = frame(HEADERS, 4, 1, b"\x88")
TRAILERS = frame(HEADERS, 5, 1, b"\0\x0bgrpc-status\x010")


def says(*parts: bytes) -> Callable[[socket.socket], None]:
    def talk(link: socket.socket) -> None:
        link.recv(65536)
        for part in parts:
            link.sendall(part)
        link.recv(65536)

    return talk


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((HELLO, OK, frame(DATA, 0, 1, SERVING), TRAILERS), Reason.FINE),
        ((HELLO + OK + frame(DATA, 0, 1, SERVING[:3]), frame(DATA, 0, 1, SERVING[3:])), Reason.FINE),
        ((HELLO, OK, frame(DATA, 8, 1, b"\2" + SERVING + b"\0\0")), Reason.FINE),
        ((HELLO, OK, frame(DATA, 0, 3, SERVING), frame(DATA, 0, 1, NOT_SERVING)), Reason.NOT_SERVING),
        ((HELLO, OK, frame(DATA, 0, 1, UNKNOWN)), Reason.NOT_SERVING),
        ((HELLO, TRAILERS), Reason.STATUS),
        ((HELLO, frame(GOAWAY, 0, 0, b"\0" * 8)), Reason.RESET),
        ((HELLO, frame(RST, 0, 1, b"\0" * 4)), Reason.RESET),
        ((HELLO, OK, frame(DATA, END, 1)), Reason.GARBAGE),
        ((OK, HELLO), Reason.GARBAGE),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), Reason.GARBAGE),
        ((HELLO, b"\xff" * 9), Reason.GARBAGE),
        ((HELLO, frame(PING, 1, 0, b"\0" * 8) * 9999), Reason.GARBAGE),
        ((HELLO + OK + frame(DATA, 0, 1, b"\1\0\0\0\2\x08\x01"),), Reason.GARBAGE),
        ((HELLO + OK + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff"),), Reason.GARBAGE),
        ((HELLO + OK + frame(DATA, 0, 1, message(b"\x12\x01")),), Reason.GARBAGE),
    ],
)
def test_answers(parts: tuple[bytes, ...], reason: Reason) -> None:
    with serving(says(*parts)) as (address, port):
        assert ask(target({"grpc": {}}, address, port)) is reason


@pytest.mark.parametrize("family", LOOPBACK)
def test_what_is_asked(family: socket.AddressFamily) -> None:
    asked = []

    def talk(link: socket.socket) -> None:
        asked.append(link.recv(65536))
        link.sendall(HELLO + frame(PING, 0, 0, b"12345678"))
        asked.append(link.recv(65536))
        link.sendall(OK + frame(DATA, 0, 1, SERVING) + TRAILERS)

    with serving(talk, family) as (address, port):
        assert ask(target({"grpc": {"service": "shop"}}, address, port)) is Reason.FINE
    assert asked[0].startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))
    host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    for word in (b"/grpc.health.v1.Health/Check", b"application/grpc", b"trailers", host.encode()):
        assert bytes([len(word)]) + word in asked[0]
    assert asked[0].endswith(frame(DATA, END, 1, message(b"\x0a\x04shop")))
    assert asked[1] == frame(SETTINGS, 1) + frame(PING, 1, 0, b"12345678")


def test_nobody_there_and_nobody_who_talks() -> None:
    assert ask(target({"grpc": {}}, "127.0.0.1", closed_port())) is Reason.REFUSED
    with serving(lambda link: link.recv(65536)) as (address, port):
        assert ask(target({"grpc": {}}, address, port)) in (Reason.CLOSED, Reason.RESET)


def test_long_names() -> None:
    body = grpc.prepare(probe({"grpc": {"service": "s" * 200}})).message
    assert body.endswith(message(b"\x0a\xc8\x01" + b"s" * 200))


@given(st.binary(max_size=60), st.booleans())
def test_whatever_comes_is_judged(data: bytes, ended: bool) -> None:
    assert grpc.verdict(data, ended) is not None or not ended
