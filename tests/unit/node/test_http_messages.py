"""Requests are taken, and answers written, as Go's net/http does: what it answered to these very bytes stands here."""

from __future__ import annotations

import pytest

from sluice.node.answers import Answer
from sluice.node.http_messages import LONGEST, Refusal, Request, request, response

NOW = 1795958943.9
"""2026-11-29 13:29:03 UTC and a bit."""

ANSWER = Answer(503, (("Content-Type", "application/json"),), b"body")
DATE = "Date: Sun, 29 Nov 2026 13:29:03 GMT"
HEAD = f"503 Service Unavailable\r\nContent-Type: application/json\r\n{DATE}\r\nContent-Length: 4"


def answered(data: bytes) -> str:
    asked = request(data)
    assert isinstance(asked, Request)
    assert asked.size == len(data)
    return response(ANSWER, asked, NOW).decode()


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", f"HTTP/1.1 {HEAD}\r\n\r\nbody"),
        (b"DELETE /a/b?c HTTP/1.1\nhost: a\n\n", f"HTTP/1.1 {HEAD}\r\n\r\nbody"),
        (b"GET / HTTP/1.2\r\nHost:\r\n\r\n", f"HTTP/1.1 {HEAD}\r\n\r\nbody"),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", f"HTTP/1.1 {HEAD}\r\n\r\n"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", f"HTTP/1.1 {HEAD}\r\n\r\nbody"),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
            f"HTTP/1.1 {HEAD}\r\nConnection: close\r\n\r\nbody",
        ),
        (b"GET / HTTP/1.0\r\n\r\n", f"HTTP/1.0 {HEAD}\r\n\r\nbody"),
        (
            b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            f"HTTP/1.0 {HEAD}\r\nConnection: keep-alive\r\n\r\nbody",
        ),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", f"HTTP/1.0 {HEAD}\r\n\r\nbody"),
    ],
)
def test_an_answer_byte_for_byte(data: bytes, answer: str) -> None:
    assert answered(data) == answer


@pytest.mark.parametrize("head", [b"Expect: 100-continue\r\nContent-Length: 3", b"Transfer-Encoding: chunked"])
def test_a_body_that_nobody_reads_is_the_end(head: bytes) -> None:
    data = b"PUT / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n"
    assert answered(data) == f"HTTP/1.1 {HEAD}\r\nConnection: close\r\n\r\nbody"
    asked = request(data)
    assert isinstance(asked, Request)
    assert asked.unread


def test_a_body_is_part_of_the_request() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    assert request(head % 3 + b"ab") is None
    asked = request(head % 3 + b"abcGET")
    assert isinstance(asked, Request)
    assert (asked.size, asked.last) == (len(head % 3) + 3, False)
    asked = request(head % LONGEST)
    assert isinstance(asked, Request)
    assert asked.unread, "more than there is room for"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/healthz", "/healthz"),
        ("/healthz?a=/b", "/healthz"),
        ("http://a:1/healthz", "/healthz"),
        ("http://a", "/"),
        ("*", "*"),
        ("//healthz", "//healthz"),
    ],
)
def test_the_path(target: str, path: str) -> None:
    asked = request(f"OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert isinstance(asked, Request)
    assert asked.path == path


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"),
        (b"GET /\r\n\r\n", "400 Bad Request"),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx y: b\r\n\r\n", "400 Bad Request: invalid header name"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", "400 Bad Request: invalid header value"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 2000 + b"\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET / HTTP/1.1\r\nX: ".ljust(LONGEST, b"x"), "431 Request Header Fields Too Large"),
        (b"\x16\x03\x01".ljust(LONGEST, b"\x00"), "431 Request Header Fields Too Large"),
    ],
)
def test_what_is_no_request(data: bytes, status: str) -> None:
    refusal = request(data)
    assert isinstance(refusal, Refusal)
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain; charset=utf-8", "Connection: close", "", status]
    assert refusal.text == "\r\n".join(lines).encode()


def test_an_unknown_coding() -> None:
    refusal = request(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")
    assert refusal == Refusal("501 Not Implemented", "Unsupported transfer encoding")


def test_a_request_is_waited_for() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert [request(whole[:at]) for at in range(len(whole))] == [None] * len(whole)
