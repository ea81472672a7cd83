"""``udp``: whether a packet is answered by one that holds what is expected."""

from __future__ import annotations

import socket
from typing import NamedTuple

from ..probe_values import octets
from ..probes import Probe
from .attempts import IN, Target, begin, opened
from .reasons import Reason

_AT_ONCE = 65535


class Question(NamedTuple):
    send: bytes
    expect: bytes


def prepare(probe: Probe) -> Question:
    return Question(octets(probe.send), octets(probe.expect))


class Attempt:
    __slots__ = ("_expect", "_link")

    wants = IN

    def __init__(self, target: Target) -> None:
        question: Question = target.prepared
        self._expect = question.expect
        self._link = asked(target, question.send)

    def fileno(self) -> int:
        return self._link.fileno()

    def step(self, events: int) -> Reason | None:
        """An answer without what is expected is a wrong one: nobody else can have sent it to this port."""
        try:
            return Reason.FINE if self._expect in self._link.recv(_AT_ONCE) else Reason.BODY
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._link.close()


def asked(target: Target, packet: bytes, protocol: int = 0) -> socket.SocketType:
    """A socket that has sent ``packet`` to ``target``, and takes packets from there only. Raises OSError."""
    link = opened(target, socket.SOCK_DGRAM, protocol)
    try:
        begin(link, target)
        link.send(packet)
    except OSError:
        link.close()
        raise
    return link
