"""``icmp``: whether an echo request is answered, by the kernel's ping sockets (icmp(7)), which need no privilege.

They need a group within ``net.ipv4.ping_group_range``, for both families; where that has none of this process's, the
check says FORBIDDEN, and nothing of the endpoint.
"""

from __future__ import annotations

import os
import socket
import struct

from ..probes import Probe
from .attempts import IN, LocalError, Target
from .reasons import Reason
from .udp import asked

_HEADER = struct.Struct("!BBHHH")
_FAMILIES = {
    socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129),
}
"""Protocol, type of a request and of its answer (RFC 792, RFC 4443)."""

_AT_ONCE = 2048
_PACKETS = 16
"""Packets that are looked at in one go; more have their turn after others."""


def prepare(probe: Probe) -> None:
    """There is nothing to ask but one thing."""


class Attempt:
    __slots__ = ("_answer", "_link", "_said")

    wants = IN

    def __init__(self, target: Target) -> None:
        protocol, request, self._answer = _FAMILIES[target.family]
        # Ping sockets get the answers to their own id; what else is said tells attempts on the same id apart.
        self._said = os.urandom(16)
        packet = _HEADER.pack(request, 0, 0, 0, 1) + self._said
        try:
            self._link = asked(target, packet, protocol)
        except PermissionError:
            raise LocalError(Reason.FORBIDDEN) from None

    def fileno(self) -> int:
        return self._link.fileno()

    def step(self, events: int) -> Reason | None:
        for _packet in range(_PACKETS):
            try:
                data = self._link.recv(_AT_ONCE)
            except BlockingIOError:
                return None
            if data[:1] == bytes([self._answer]) and data[_HEADER.size :] == self._said:
                return Reason.FINE
        return None

    def close(self) -> None:
        self._link.close()
