"""HTTP: what is asked, what counts as an answer, and that no answer does any harm."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Callable

import pytest
from asking import LOOPBACK, ask, closed_port, serving, target
from hypothesis import given
from hypothesis import strategies as st

from sluice.health import http
from sluice.health.reasons import Reason
from sluice.probes import probe

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nall ok"


def question(**said: Any) -> http.Question:
    expect = said.pop("expect", {})
    return http.prepare(probe({"httpGet": said, "expect": expect}))


def answer(*parts: bytes) -> Callable[[socket.socket], None]:
    def talk(link: socket.socket) -> None:
        link.recv(65536)
        for part in parts:
            link.sendall(part)

    return talk


@pytest.mark.parametrize("family", LOOPBACK)
def test_up(family: socket.AddressFamily) -> None:
    with serving(answer(OK), family) as (address, port):
        assert ask(target({"httpGet": {}}, address, port)) is Reason.FINE
        assert ask(target({"httpGet": {}, "expect": {"body": "ok"}}, address, port)) is Reason.FINE
        assert ask(target({"httpGet": {}, "expect": {"body": "well"}}, address, port)) is Reason.BODY
        assert ask(target({"httpGet": {}, "expect": {"status": 204}}, address, port)) is Reason.STATUS


def test_refused() -> None:
    assert ask(target({"httpGet": {}}, "127.0.0.1", closed_port())) is Reason.REFUSED


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], Reason.CLOSED),
        ([b"HTTP/1.1 200 OK\r\n"], Reason.GARBAGE),
        ([b"\x16\x03\x01\x00\x00" * 99], Reason.GARBAGE),
        ([b"SSH-2.0-OpenSSH\r\n"], Reason.GARBAGE),
        ([b"HTTP/1.1 200 OK\r\nX: ", b"a" * 1_000_000], Reason.GARBAGE),
        ([b"HTTP/1.1 200 " + b"a" * 1_000_000], Reason.GARBAGE),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 9999], Reason.GARBAGE),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n", OK], Reason.FINE),
        ([bytes([byte]) for byte in OK], Reason.FINE),
        ([b"HTTP/1.0 200\r\n\r\n", b"x" * 1_000_000], Reason.BODY),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no", b"k\r\n0\r\n\r\n"], Reason.FINE),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding:Chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n", b"0\r\n\r\n"], Reason.FINE),
        ([b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\nok"], Reason.FINE),
        ([b"HTTP/1.1 500 ok\r\n\r\nok"], Reason.STATUS),
        ([b"HTTP/1.1 200 ok\r\nX: y\rok\nfoo: bar\r\n\r\n"], Reason.BODY),
    ],
)
def test_answers(parts: list[bytes], reason: Reason) -> None:
    with serving(answer(*parts)) as (address, port):
        assert ask(target({"httpGet": {}, "expect": {"body": "ok"}}, address, port)) is reason


def test_a_body_that_never_ends_is_not_waited_for() -> None:
    def talk(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                link.sendall(b"x" * 65536)

    with serving(talk) as (address, port):
        assert ask(target({"httpGet": {}}, address, port)) is Reason.FINE
        assert ask(target({"httpGet": {}, "expect": {"body": "ok"}}, address, port)) is Reason.BODY


def test_what_is_asked() -> None:
    asked = []

    def talk(link: socket.socket) -> None:
        asked.append(link.recv(65536))
        link.sendall(OK)

    headers = [{"name": "X-Probe", "value": "lb 1"}, {"name": "user-agent", "value": "me"}]
    with serving(talk) as (address, port):
        for said in ({"path": "/healthz?x"}, {"host": "shop.example"}, {"httpHeaders": headers}):
            assert ask(target({"httpGet": said}, address, port)) is Reason.FINE
    first, named, with_headers = (each.decode().split("\r\n") for each in asked)
    assert first[:2] == ["GET /healthz?x HTTP/1.1", f"Host: {address}:{port}"]
    assert first[-3:] == ["Connection: close", "", ""]
    assert named[:2] == ["GET / HTTP/1.1", "Host: shop.example"]
    assert "X-Probe: lb 1" in with_headers
    assert [line for line in with_headers if line.lower().startswith("user-agent")] == ["user-agent: me"]


@pytest.mark.parametrize(
    ("said", "address", "port", "host"),
    [
        ({}, "192.0.2.1", 80, "192.0.2.1"),
        ({}, "192.0.2.1", 443, "192.0.2.1:443"),
        ({"scheme": "HTTPS"}, "2001:db8::1", 443, "[2001:db8::1]"),
        ({}, "2001:db8::1", 8080, "[2001:db8::1]:8080"),
        ({"httpHeaders": [{"name": "HOST", "value": "a.b"}]}, "192.0.2.1", 80, "a.b"),
    ],
)
def test_whose_host(said: dict[str, Any], address: str, port: int, host: str) -> None:
    asked = target({"httpGet": said}, address, port)
    lines = http.request(asked.prepared, asked).decode().lower().split("\r\n")
    assert [line for line in lines if line.startswith("host:")] == [f"host: {host}"]


@given(st.binary(max_size=300), st.booleans(), st.sampled_from(["", "ok"]))
def test_whatever_comes_is_judged(data: bytes, ended: bool, body: str) -> None:
    for before in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        reason = http.verdict(before + data, ended, question(expect={"body": body}))
        assert reason is not None or not ended


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), st.data())
def test_chunks(chunks: list[bytes], data: st.DataObject) -> None:
    raw = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert http._dechunked(raw) == (b"".join(chunks), True)
    part, last = http._dechunked(raw[: data.draw(st.integers(0, len(raw) - 5))])
    assert b"".join(chunks).startswith(part)
    assert not last
