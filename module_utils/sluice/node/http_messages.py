"""Requests and answers of HTTP/1.1 (RFC 9112) as Go's net/http server takes and writes them. Bytes only, no sockets.

kube-proxy is such a server: a router sees the same status, the same headers in the same order and the same end of a
connection, also where a request is wrong.
"""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from .answers import Answer

LONGEST = 4096
"""Bytes of a request, its body included."""

_END = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(rb"\r?\n")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e\x80-\xff]+")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
_REASONS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Request(NamedTuple):
    """``size``: how many bytes of what was read it is. ``path``: of its target, as it was sent.

    ``last``: the connection is closed after the answer. ``unread``: there is a body that nobody reads; then it is the
    last one, too. ``current``: it is of HTTP/1.1, not of 1.0.
    """

    size: int
    method: str
    path: str
    current: bool
    last: bool
    unread: bool


class Refusal(NamedTuple):
    """What is answered to something that is no request; the connection is closed after it."""

    status: str
    body: str

    @property
    def text(self) -> bytes:
        head = "Content-Type: text/plain; charset=utf-8\r\nConnection: close"
        return f"HTTP/1.1 {self.status}\r\n{head}\r\n\r\n{self.body}".encode()


def _refusal(status: str) -> Refusal:
    return Refusal(status, status)


_BAD = _refusal("400 Bad Request")
_NO_HOST = _refusal("400 Bad Request: missing required Host header")
_BAD_NAME = _refusal("400 Bad Request: invalid header name")
_BAD_VALUE = _refusal("400 Bad Request: invalid header value")
_TOO_LARGE = _refusal("431 Request Header Fields Too Large")
_BAD_CODING = Refusal("501 Not Implemented", "Unsupported transfer encoding")
_BAD_VERSION = _refusal("505 HTTP Version Not Supported: unsupported protocol version")


def request(data: bytes) -> Request | Refusal | None:
    """The request that ``data`` begins with; None where more has to be read. Never None for LONGEST bytes."""
    end = _END.search(data)
    if end is None:
        return _TOO_LARGE if len(data) >= LONGEST else None
    first, *lines = _LINE.split(data[: end.start()])
    words = first.split(b" ")
    if len(words) != 3 or not all(map(_matches, (_TOKEN, _TARGET, _VERSION), words)):
        return _BAD
    method, target, version = (word.decode("latin-1") for word in words)
    if not version.startswith("HTTP/1."):
        return _BAD_VERSION
    path = _path(method, target)
    fields = _fields(lines)
    if path is None:
        return _BAD
    if isinstance(fields, Refusal):
        return fields
    body = _body(fields)
    if isinstance(body, Refusal):
        return body
    current = version != "HTTP/1.0"
    if current and len(fields.get("host", ())) != 1:
        return _BAD if "host" in fields else _NO_HOST
    options = {word.strip().lower() for value in fields.get("connection", ()) for word in value.split(",")}
    size = end.end() + (body or 0)
    unread = body is None or size > LONGEST or bool(body and "expect" in fields)
    if unread:
        size = end.end()
    elif len(data) < size:
        return None
    last = unread or "close" in options or not (current or "keep-alive" in options)
    return Request(size, method, path, current, last, unread)


def response(answer: Answer, asked: Request, now: float) -> bytes:
    """``answer`` as it is sent to who asked, at ``now`` (seconds of the epoch)."""
    # Only what the version does not say already.
    connection = (("Connection", "close" if asked.last else "keep-alive"),) if asked.current == asked.last else ()
    fields = (*answer.headers, ("Date", _date(now)), ("Content-Length", str(len(answer.body))), *connection)
    version = "HTTP/1.1" if asked.current else "HTTP/1.0"
    lines = [f"{version} {answer.status} {_REASONS[answer.status]}", *(f"{name}: {value}" for name, value in fields)]
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if asked.method == "HEAD" else head + answer.body


def _matches(form: re.Pattern[bytes], word: bytes) -> bool:
    return form.fullmatch(word) is not None


def _path(method: str, target: str) -> str | None:
    """The path of a request's target (RFC 9112, 3.2); None where it is no target."""
    found = _AUTHORITY.match(target)
    path = target[found.end() :] or "/" if found else target
    if path[:1] not in ("/", "?") and target != "*" and method != "CONNECT":
        return None
    return path.partition("?")[0]


def _fields(lines: list[bytes]) -> dict[str, list[str]] | Refusal:
    """The values of each header field, by its name in small letters. Go takes a line that is continued; RFC 9112, 5.2
    lets a server refuse it."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or line[:1] in (b" ", b"\t"):
            return _BAD
        if not _matches(_TOKEN, name):
            return _BAD_NAME
        if _CONTROL.search(value):
            return _BAD_VALUE
        found.setdefault(name.decode().lower(), []).append(value.decode("latin-1").strip(" \t"))
    return found


def _body(fields: dict[str, list[str]]) -> int | Refusal | None:
    """The length of the body; None where it is sent in chunks, of which none is read."""
    if "transfer-encoding" in fields:
        return None if [value.lower() for value in fields["transfer-encoding"]] == ["chunked"] else _BAD_CODING
    lengths = set(fields.get("content-length", ("0",)))
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()) or len(length) > 18:
        return _BAD
    return int(length)


def _date(now: float) -> str:
    """The IMF-fixdate of RFC 9110, 5.6.7, whatever the locale."""
    at = time.gmtime(now)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    return f"{day}, {at.tm_mday:02d} {month} {at.tm_year:04d} {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
