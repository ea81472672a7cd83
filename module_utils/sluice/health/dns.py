"""``dns``: whether a question is answered, by UDP (RFC 1035)."""

from __future__ import annotations

import os
import struct

from ..probe_values import DNS_TYPES
from ..probes import Probe
from .attempts import IN, Target
from .reasons import Reason
from .udp import asked

_HEADER = struct.Struct("!HHHHHH")
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
