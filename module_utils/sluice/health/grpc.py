"""``grpc``: whether a server says SERVING, by ``grpc.health.v1.Health/Check``, in the clear.

The least of HTTP/2 (RFC 9113) that this takes: the preface, one request whose header is literals without Huffman codes
(RFC 7541, 6.2.2), and of the answer the frames that hold its message. Headers of answers are not decoded: a server that
has an error to tell sends no message.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .. import addresses
from ..probes import Probe
from .attempts import IN, OUT, Target, failure, stream
from .reasons import Reason

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK, _PADDED = 0x1, 0x4, 0x1, 0x8
_STREAM = 1
_MOST_FRAME = 16384
"""Bytes of a frame that may be sent to who did not say otherwise (SETTINGS_MAX_FRAME_SIZE)."""

_MOST, _MOST_MESSAGE = 65536, 1024
_AT_ONCE = 16384
_HEAD = 9
_MESSAGE = struct.Struct("!BI")
_SERVING = 1


class Question(NamedTuple):
    """The request's header, which has ``:authority`` in the middle, and the frame of its message."""

    before: bytes
    after: bytes
    message: bytes


def prepare(probe: Probe) -> Question:
    before = _fields((":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check"))
    after = _fields(("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "sluice-health"))
    service = probe.service.encode()
    message = b"\x0a" + _varint(len(service)) + service if service else b""
    return Question(before, after, _frame(_DATA, _END_STREAM, _STREAM, _MESSAGE.pack(0, len(message)) + message))


class Attempt:
    __slots__ = ("_connected", "_data", "_link", "_message", "_read", "_settled", "_target", "_unsent", "wants")

    def __init__(self, target: Target) -> None:
        self.wants = OUT
        self._target = target
        self._connected = False
        self._settled = False
        self._data, self._message = b"", b""
        self._read = 0
        self._unsent = request(target)
        self._link = stream(target)

    def fileno(self) -> int:
        return self._link.fileno()

    def close(self) -> None:
        self._link.close()

    def step(self, events: int) -> Reason | None:
        if not self._connected:
            reason = failure(self._link)
            if reason is not None:
                return reason
            self._connected = True
        try:
            return self._exchange()
        except BlockingIOError:
            self.wants = OUT if self._unsent else IN
            return None

    def _exchange(self) -> Reason | None:
        while True:
            while self._unsent:
                self._unsent = self._unsent[self._link.send(self._unsent) :]
            part = self._link.recv(_AT_ONCE)
            if not part:
                return Reason.CLOSED
            self._read += len(part)
            self._data += part
            reason = self._frames()
            if reason is not None:
                return reason
            if self._read > _MOST:
                return Reason.GARBAGE

    def _frames(self) -> Reason | None:
        """Take in the frames that are there as a whole."""
        while len(self._data) >= _HEAD:
            size = int.from_bytes(self._data[:3], "big")
            kind, flags = self._data[3], self._data[4]
            number = int.from_bytes(self._data[5:_HEAD], "big") & 0x7FFFFFFF
            if size > _MOST_FRAME or not (self._settled or kind == _SETTINGS):
                return Reason.GARBAGE
            if len(self._data) < _HEAD + size:
                return None
            payload, self._data = self._data[_HEAD : _HEAD + size], self._data[_HEAD + size :]
            reason = self._frame(kind, flags, number, payload)
            if reason is not None:
                return reason
        return None

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> Reason | None:
        if kind in (_SETTINGS, _PING):
            self._settled = True
            if not flags & _ACK:
                self._unsent += _frame(kind, _ACK, 0, payload if kind == _PING else b"")
        elif kind == _GOAWAY or (kind == _RST_STREAM and number == _STREAM):
            return Reason.RESET
        elif kind == _DATA and number == _STREAM:
            self._message += _unpadded(payload) if flags & _PADDED else payload
            return verdict(self._message, bool(flags & _END_STREAM))
        elif kind == _HEADERS and number == _STREAM and flags & _END_STREAM:
            # An error such as UNIMPLEMENTED, or NOT_FOUND for a service that the server does not know.
            return Reason.STATUS
        return None


def request(target: Target) -> bytes:
    """All that is sent to ``target`` before it answers."""
    question: Question = target.prepared
    host = addresses.host_port(target.address, target.port)
    header = question.before + _fields((":authority", host)) + question.after
    settings = _frame(_SETTINGS, 0, 0, b"")
    return _PREFACE + settings + _frame(_HEADERS, _END_HEADERS, _STREAM, header) + question.message


def verdict(data: bytes, ended: bool) -> Reason | None:
    """What a message says as far as it came (HealthCheckResponse: field 1 is the status); None where more is needed."""
    if len(data) < _MESSAGE.size:
        return Reason.GARBAGE if ended else None
    compressed, size = _MESSAGE.unpack_from(data)
    if compressed or size > _MOST_MESSAGE:
        return Reason.GARBAGE
    message = data[_MESSAGE.size : _MESSAGE.size + size]
    if len(message) < size:
        return Reason.GARBAGE if ended else None
    if message[:1] not in (b"", b"\x08"):
        return Reason.GARBAGE
    return Reason.FINE if message[1:2] == bytes([_SERVING]) else Reason.NOT_SERVING


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload


def _unpadded(payload: bytes) -> bytes:
    return payload[1 : len(payload) - payload[0]] if payload else b""


def _fields(*fields: tuple[str, str]) -> bytes:
    """Fields as literals that no table keeps; each text is shorter than 127 bytes."""
    texts = ([name.encode(), value.encode()] for name, value in fields)
    return b"".join(b"\0" + b"".join(bytes([len(text)]) + text for text in pair) for pair in texts)


def _varint(number: int) -> bytes:
    """A number as protocol buffers have it, seven bits a byte."""
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])
