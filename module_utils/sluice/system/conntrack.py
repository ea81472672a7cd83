"""UDP flows that conntrack tracks, read and deleted by ctnetlink (linux/netfilter/nfnetlink_conntrack.h)."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .. import addresses
from . import netlink
from .netlink import NESTED, attribute
from .tools import NodeError

_GET, _DELETE = 0x101, 0x102
"""Message types: NFNL_SUBSYS_CTNETLINK, and IPCTNL_MSG_CT_GET or IPCTNL_MSG_CT_DELETE."""

_ORIGINAL, _REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25
_KEPT = (_ID, _ZONE)
_IP, _PROTOCOL, _TUPLE_ZONE = 1, 2, 3
_NUMBER, _SOURCE_PORT = 1, 2
_FILTER_ORIGINAL, _FILTER_PROTOCOL = 1, 1 << 3
_UDP = bytes([socket.IPPROTO_UDP])

_FAMILIES = {addresses.IPV4: socket.AF_INET, addresses.IPV6: socket.AF_INET6}
_HEADER = struct.Struct("=BBH")
"""``nfgenmsg``: address family, version, resource."""

_MISSING = (errno.EINVAL, errno.EPROTONOSUPPORT)
"""What a kernel says that has no ctnetlink, or no nfnetlink at all."""


class Flow(NamedTuple):
    """One UDP flow: what it was sent to, and who answers."""

    destination: str
    port: int
    reply_source: str
    reply_port: int
    identity: bytes
    """What names just this flow to the kernel: its first direction, its zone, and its id, which a later one with the
    same addresses and ports does not have."""


def udp_flows(family: str) -> list[Flow]:
    """All UDP flows of ``family`` in this network namespace. Raises NodeError."""
    header = _HEADER.pack(_FAMILIES[family], 0, 0)
    # Since Linux 5.8 the kernel passes over other protocols; one before takes no notice and tells of all.
    only = attribute(NESTED | _ORIGINAL, attribute(NESTED | _PROTOCOL, attribute(_NUMBER, _UDP)))
    only += attribute(NESTED | _FILTER, attribute(_FILTER_ORIGINAL, struct.pack("=I", _FILTER_PROTOCOL)))
    with _connected() as link:
        return list(parse(netlink.ask(link, _GET, header + only, netlink.DUMP), family))


def delete(flows: Iterable[Flow]) -> int:
    """Delete the flows; one that has ended by itself is fine. Returns how many were deleted. Raises NodeError."""
    bodies = [flow.identity for flow in flows]
    with _connected() as link:
        failures = list(netlink.carry_out(link, _DELETE, bodies))
        for code in failures:
            if code != errno.ENOENT:
                raise OSError(code, os.strerror(code))
    return len(bodies) - len(failures)


def parse(messages: Iterable[bytes], family: str) -> Iterator[Flow]:
    """The UDP flows of ``family`` among the bodies of messages.

    There may be hundreds of thousands: both directions, with which the kernel begins each message, are read in one.
    """
    match = _directions(family).match
    named = functools.lru_cache(maxsize=4096)(functools.partial(socket.inet_ntop, _FAMILIES[family]))
    for data in messages:
        found = match(data)
        if found:
            original, destination, port, reply_source, reply_port = found.groups()
            yield Flow(
                named(destination),
                int.from_bytes(port, "big"),
                named(reply_source),
                int.from_bytes(reply_port, "big"),
                original + netlink.picked(data, _KEPT, found.end()),
            )


@functools.cache
def _directions(family: str) -> re.Pattern[bytes]:
    """What a message about a UDP flow begins with.

    Its groups: all up to the original direction, the destination and its port there, the source of replies and its.
    """
    original, reply = _direction(family, _ORIGINAL, 1), _direction(family, _REPLY, 0)
    return re.compile(b"(.{%d}%s)%s" % (_HEADER.size, original, reply), re.DOTALL)


def _direction(family: str, kind: int, kept: int) -> bytes:
    """Matches one direction of a UDP flow. The groups: the source and its port (``kept`` 0), or the destination's."""
    first, size = (1, 4) if family == addresses.IPV4 else (3, 16)
    sides = [b"(.{%d})" if side == kept else b".{%d}" for side in range(2)]
    ends = b"".join(_head(first + side, size) + what % size for side, what in enumerate(sides))
    ports = b"".join(_head(_SOURCE_PORT + side, 2) + what % 2 + b".." for side, what in enumerate(sides))
    protocol = _head(_NUMBER, 1) + re.escape(_UDP) + b"..." + ports
    pieces = [_head(NESTED | _IP, 2 * (4 + size)), ends, _head(NESTED | _PROTOCOL, 24), protocol]
    # A zone may hold for one direction only, and is then part of it.
    zone = b"(?:%s.{4})?" % _head(_TUPLE_ZONE, 2)
    return b".." + re.escape(struct.pack("=H", NESTED | kind)) + b"".join(pieces) + zone


def _head(kind: int, size: int) -> bytes:
    return re.escape(struct.pack("=HH", 4 + size, kind))


@contextlib.contextmanager
def _connected() -> Iterator[socket.socket]:
    try:
        with netlink.connect(netlink.NETFILTER) as link:
            yield link
    except OSError as error:
        reason = "the kernel has no ctnetlink" if error.errno in _MISSING else error.strerror or error
        raise NodeError(f"conntrack: {reason}: UDP flows to endpoints that are gone cannot be deleted") from None
