"""``httpGet``: one request by HTTP/1.1, in the clear or by TLS, and the status and body of its answer.

No more is read than decides: the header to its end, and of a body as much as is asked about. Redirects are answers like
others; nothing is asked of another place than the endpoint.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from .. import __version__, addresses
from ..probe_http import MOST_BODY, statuses
from ..probes import Probe
from . import tls
from .attempts import IN, OUT, Target, failure, stream
from .reasons import Reason

_MOST_HEADER = 16384
"""Bytes of a header, as in most servers and clients."""

_MOST = _MOST_HEADER + 2 * MOST_BODY
"""Bytes in all: somebody may send interim answers for ever."""

_AT_ONCE = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"\n(content-length|transfer-encoding)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_MAY_BE = b"HTTP/1."


class Question(NamedTuple):
    """A request before and behind what its header Host says, if that depends on the endpoint, and what is expected."""

    before: bytes
    after: bytes
    own_host: bool
    ranges: tuple[tuple[int, int], ...]
    body: bytes


def prepare(probe: Probe) -> Question:
    usual = [("Host", probe.host), ("User-Agent", f"sluice-health/{__version__}"), ("Accept", "*/*")]
    given = {name.lower() for name, _value in probe.headers}
    fields = [(name, value) for name, value in usual if name.lower() not in given] + list(probe.headers)
    # Host is the first where it is not given (RFC 9110, 7.2).
    lines = [f"{name}: {value}\r\n" for name, value in fields if (name, value) != ("Host", "")]
    before = f"GET {probe.path} HTTP/1.1\r\n"
    after = "".join([*lines, "Connection: close\r\n\r\n"])
    own = not probe.host and "host" not in given
    return Question(before.encode(), after.encode(), own, statuses(probe.status), probe.body.encode())


class Attempt:
    __slots__ = ("_data", "_link", "_secured", "_target", "_unsent", "wants")

    def __init__(self, target: Target) -> None:
        self.wants = OUT
        self._target = target
        self._data = b""
        self._unsent: bytes | None = None  # until there is a connection
        self._secured: tls.Secured | None = None
        self._link = stream(target)

    def fileno(self) -> int:
        return self._link.fileno()

    def close(self) -> None:
        (self._secured or self._link).close()

    def step(self, events: int) -> Reason | None:
        if self._unsent is None:
            reason = failure(self._link) or self._connected()
            if reason is not None:
                return reason
        try:
            return self._exchange(self._secured or self._link)
        except BlockingIOError:
            self.wants = OUT if self._unsent else IN
        except tls.WaitError as wait:
            self.wants = wait.wants
        except tls.Error as error:
            return tls.reason(error)
        return None

    def _connected(self) -> Reason | None:
        self._unsent = request(self._target.prepared, self._target)
        if self._target.probe.scheme == "HTTPS":
            found = tls.secured(self._link, self._target)
            if isinstance(found, Reason):
                return found
            self._secured = found
        return None

    def _exchange(self, link: socket.SocketType | tls.Secured) -> Reason | None:
        """Send and read all that goes now; TLS may have more than the kernel knows of. Raises BlockingIOError."""
        while self._unsent:
            self._unsent = self._unsent[link.send(self._unsent) :]
        while len(self._data) <= _MOST:
            part = link.recv(_AT_ONCE)
            self._data += part
            reason = verdict(self._data, not part, self._target.prepared)
            if reason is not None:
                return reason
        return Reason.GARBAGE


def request(question: Question, target: Target) -> bytes:
    """All that is sent to ``target``."""
    if not question.own_host:
        return question.before + question.after
    usual = 443 if target.probe.scheme == "HTTPS" else 80
    where = addresses.host_port(target.address, target.port)
    host = where if target.port != usual else where.rpartition(":")[0]
    return b"%sHost: %s\r\n%s" % (question.before, host.encode(), question.after)


def verdict(data: bytes, ended: bool, question: Question) -> Reason | None:
    """What an answer says as far as it came; None where more is needed. ``ended``: there will be no more."""
    while True:
        status = _STATUS.match(data)
        if not status and (b"\n" in data or not data.startswith(_MAY_BE[: len(data)])):
            return Reason.GARBAGE
        end = _END.search(data)
        if not end or not status:
            if ended:
                return Reason.CLOSED if not data else Reason.GARBAGE
            return Reason.GARBAGE if len(data) > _MOST_HEADER else None
        if end.start() > _MOST_HEADER:
            return Reason.GARBAGE
        code = int(status[1])
        if code == 101 or code >= 200:
            break
        data = data[end.end() :]  # an interim answer (RFC 9110, 15.2)
    if not any(low <= code <= high for low, high in question.ranges):
        return Reason.STATUS
    if not question.body:
        return Reason.FINE
    return _body(data[: end.start()], data[end.end() :], ended, question.body)


def _body(header: bytes, data: bytes, ended: bool, wanted: bytes) -> Reason | None:
    fields = {name.lower(): value.strip().lower() for name, value in _FIELD.findall(header)}
    length = fields.get(b"content-length", b"")
    raw = data[:MOST_BODY]
    complete = ended or len(data) >= MOST_BODY
    if fields.get(b"transfer-encoding") == b"chunked":
        raw, last = _dechunked(raw)
        complete = complete or last
    elif length.isdigit() and len(length) < 19:
        raw = raw[: int(length)]
        complete = complete or len(data) >= int(length)
    if wanted in raw:
        return Reason.FINE
    return Reason.BODY if complete else None


def _dechunked(data: bytes) -> tuple[bytes, bool]:
    """What is in the chunks of ``data`` (RFC 9112, 7.1), of which the last may be cut; whether there are no more."""
    parts: list[bytes] = []
    at = 0
    while True:
        head = _CHUNK.match(data, at)
        if not head:
            # Either it did not come yet, or it is none and never will be.
            return b"".join(parts), b"\n" in data[at:] or len(data) - at > 64
        size = int(head[1], 16)
        if not size:
            return b"".join(parts), True
        parts.append(data[head.end() : head.end() + size])
        at = head.end() + size
        at += 2 if data[at : at + 2] == b"\r\n" else 1 if data[at : at + 1] == b"\n" else 0
