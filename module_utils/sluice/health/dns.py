"""``dns``: whether a question is answered, by UDP (RFC 1035) or by TCP (RFC 7766)."""

from __future__ import annotations

import os
import struct

from ..probe_values import DNS_TYPES
from ..probes import Probe
from . import attempts
from .attempts import IN, OUT, Target, failure, stream
from .reasons import Reason
from .udp import asked

_HEADER, _LENGTH = struct.Struct("!HHHHHH"), struct.Struct("!H")
_RECURSE, _ANSWER, _CUT, _CODE = 0x0100, 0x8000, 0x0200, 0x000F
_INTERNET = 1
_AT_ONCE = 4096
_PACKETS = 16
"""Packets that are looked at in one go; more have their turn after others."""


def prepare(probe: Probe) -> bytes:
    """The question: a name, as labels with their lengths, its type and class."""
    labels = probe.name.rstrip(".").encode("ascii").split(b".")
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return name + struct.pack("!HH", DNS_TYPES[probe.type], _INTERNET)


def begin(target: Target) -> attempts.Attempt:
    return StreamAttempt(target) if target.probe.transport == "tcp" else Attempt(target)


class Attempt:
    __slots__ = ("_id", "_link", "_question")

    wants = IN

    def __init__(self, target: Target) -> None:
        self._question: bytes = target.prepared
        self._id = int.from_bytes(os.urandom(2), "big")
        self._link = asked(target, query(self._id, self._question))

    def fileno(self) -> int:
        return self._link.fileno()

    def step(self, events: int) -> Reason | None:
        """What is no answer to this question may be one to an earlier one, and is passed over."""
        for _packet in range(_PACKETS):
            try:
                data = self._link.recv(_AT_ONCE)
            except BlockingIOError:
                return None
            reason = verdict(data, self._id, self._question)
            if reason is not None:
                return reason
        return None

    def close(self) -> None:
        self._link.close()


class StreamAttempt:
    """By TCP each message comes behind its length, in two bytes (RFC 7766, 8), and in any parts."""

    __slots__ = ("_data", "_id", "_link", "_question", "_unsent", "wants")

    def __init__(self, target: Target) -> None:
        self.wants = OUT
        self._data = b""
        self._question: bytes = target.prepared
        self._id = int.from_bytes(os.urandom(2), "big")
        packet = query(self._id, self._question)
        self._unsent = _LENGTH.pack(len(packet)) + packet
        self._link = stream(target)

    def fileno(self) -> int:
        return self._link.fileno()

    def step(self, events: int) -> Reason | None:
        try:
            if self._unsent:
                reason = failure(self._link)
                if reason is not None:
                    return reason
                self._unsent = self._unsent[self._link.send(self._unsent) :]
                self.wants = OUT if self._unsent else IN
                return None
            part = self._link.recv(_AT_ONCE)
        except BlockingIOError:
            return None
        self._data += part
        return self._verdict(ended=not part)

    def _verdict(self, *, ended: bool) -> Reason | None:
        """Of a long answer no more is waited for than is looked at. Nobody else speaks here, so all is about this."""
        if ended:
            return Reason.GARBAGE if self._data else Reason.CLOSED
        if len(self._data) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._data)
        message = self._data[_LENGTH.size : _LENGTH.size + length]
        if len(message) < min(length, _HEADER.size + len(self._question)):
            return None
        reason = verdict(message, self._id, self._question)
        return Reason.GARBAGE if reason is None else reason

    def close(self) -> None:
        self._link.close()


def query(number: int, question: bytes) -> bytes:
    return _HEADER.pack(number, _RECURSE, 1, 0, 0, 0) + question


def verdict(data: bytes, number: int, question: bytes) -> Reason | None:
    """What a packet says; None where it is about something else.

    An answer without an error that has a record, or had to be cut to fit, is one. A question may come back in other
    letters than it was asked in.
    """
    if len(data) < _HEADER.size:
        return Reason.GARBAGE
    id_, flags, questions, answers, _authorities, _others = _HEADER.unpack_from(data)
    if id_ != number or not flags & _ANSWER:
        return None
    if flags & _CODE:
        return Reason.STATUS
    if questions != 1 or data[_HEADER.size : _HEADER.size + len(question)].lower() != question.lower():
        return Reason.GARBAGE
    return Reason.FINE if answers or flags & _CUT else Reason.NO_ANSWER
