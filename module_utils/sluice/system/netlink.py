"""What one asks the kernel by netlink, and what it answers (netlink(7), linux/netlink.h).

For those families whose messages have four bytes behind netlink's own header: nfnetlink and generic netlink.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator

NETFILTER, GENERIC = 12, 16

_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_FIRST, _LAST = 1, 2
"""Sequence numbers."""

_HEADER = struct.Struct("=IHHII")
_SECOND = 4
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
"""Two bits of an attribute's type say how it is written (NLA_F_NESTED, NLA_F_NET_BYTEORDER)."""

_BUFFER = 1 << 18
_SECONDS = 10
_NETLINK, _CAP_ACK = 270, 10
"""SOL_NETLINK, and NETLINK_CAP_ACK: a refusal does not repeat the message."""


def connected(protocol: int) -> socket.socket:
    """A socket to the kernel. Raises OSError."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    link.settimeout(_SECONDS)
    link.setsockopt(_NETLINK, _CAP_ACK, 1)
    return link


def ask(
    link: socket.socket, kind: int, second: bytes, attributes: bytes = b"", *, dump: bool = False
) -> Iterator[bytes]:
    """Send a request of type ``kind``; what the kernel answers, message by message, without headers.

    ``second``: the four bytes of the family's own header. ``dump``: all there is, else one answer. Raises OSError.
    """
    link.send(_message(kind, second, attributes, _DUMP if dump else 0))
    while True:
        for number, data in _received(link):
            if number == _DONE:
                return
            yield data
        if not dump:
            return


def send(link: socket.socket, kind: int, second: bytes, several: list[bytes]) -> list[int]:
    """Send requests of type ``kind``, one for each of ``several`` attributes; an errno for each that was refused.

    They have to be few: the kernel has no room for more than some hundred refusals. Raises OSError.
    """
    if not several:
        return []
    messages = [_message(kind, second, each) for each in several]
    # Whatever becomes of the last one, the kernel says so.
    messages[-1] = _message(kind, second, several[-1], _ACK, _LAST)
    link.send(b"".join(messages))
    refused = []
    while True:
        answer = link.recv(_BUFFER)
        at = 0
        while at < len(answer):
            length, number, _flags, sequence, _port = _HEADER.unpack_from(answer, at)
            if number == _ERROR:
                code = -int(struct.unpack_from("=i", answer, at + _HEADER.size)[0])
                refused += [code] if code else []
                if sequence == _LAST:
                    return refused
            at += (length + 3) & ~3


def _message(kind: int, second: bytes, attributes: bytes, flags: int = 0, sequence: int = _FIRST) -> bytes:
    length = _HEADER.size + len(second) + len(attributes)
    head = _HEADER.pack(length, kind, _REQUEST | flags, sequence, 0)
    return head + second + attributes + bytes(-length & 3)


def _received(link: socket.socket) -> Iterator[tuple[int, bytes]]:
    answer = link.recv(_BUFFER)
    at = 0
    while at < len(answer):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(answer, at)
        if kind == _ERROR:
            code = -int(struct.unpack_from("=i", answer, at + _HEADER.size)[0])
            raise OSError(code, os.strerror(code))
        yield kind, answer[at + _HEADER.size + _SECOND : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The type and the value of each attribute."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & _TYPE_MASK, data[at + _ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, as it is written."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) & 3)


def nested(kind: int, *several: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | 0x8000, b"".join(several))


def number(data: bytes) -> int:
    """A number in the order of this processor; those of protocols are in the network's."""
    return int.from_bytes(data, sys.byteorder)
