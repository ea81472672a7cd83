"""What conntrack tracks: how much it has room for, UDP flows, and TCP connections.

Those are read and deleted by ctnetlink (linux/netfilter/nfnetlink_conntrack.h); the room is sysctls
(nf_conntrack-sysctl of the kernel's documentation).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .. import addresses
from . import linux, netlink
from .netlink import NESTED, attribute
from .tools import NodeError

_GET, _DELETE = 0x101, 0x102
"""Message types: NFNL_SUBSYS_CTNETLINK, and IPCTNL_MSG_CT_GET or IPCTNL_MSG_CT_DELETE."""

_ORIGINAL, _REPLY, _STATUS, _ID, _ZONE, _FILTER = 1, 2, 3, 12, 18, 25
_SEEN_REPLY = 2
_NAMING = (_ORIGINAL, _ID, _ZONE)
_IP, _PROTOCOL, _TUPLE_ZONE = 1, 2, 3
_NUMBER, _SOURCE_PORT = 1, 2
_FILTER_ORIGINAL, _FILTER_PROTOCOL = 1, 1 << 3
_TCP, _UDP = bytes([socket.IPPROTO_TCP]), bytes([socket.IPPROTO_UDP])

_FAMILIES = {addresses.IPV4: socket.AF_INET, addresses.IPV6: socket.AF_INET6}
_HEADER = struct.Struct("=BBH")
"""``nfgenmsg``: address family, version, resource."""

_MISSING = (errno.EINVAL, errno.EPROTONOSUPPORT)
"""What a kernel says that has no ctnetlink, or no nfnetlink at all."""


COUNT, MAX, BUCKETS = (f"net.netfilter.nf_conntrack_{name}" for name in ("count", "max", "buckets"))
NEARLY_FULL = 0.8
"""The part of its room from which on an operator should know; a full table loses new connections."""

_PER_PROCESSOR, _AT_LEAST = 32768, 131072
"""kube-proxy's conntrack.maxPerCore and conntrack.min."""
_ENTRY, _SHARE = 400, 8
"""Bytes of a connection (``nf_conn``, its extension for NAT, its bucket); the part of the memory for all of them."""


class Way(NamedTuple):
    """What flows were sent to, and who answers them."""

    destination: str
    port: int
    reply_source: str
    reply_port: int


def fill() -> tuple[int, int]:
    """How many connections this network namespace has, and how many there is room for; 0, 0 without conntrack."""
    count, size = linux.sysctl(COUNT), linux.sysctl(MAX)
    return (int(count), int(size)) if count and size else (0, 0)


def is_nearly_full(count: int, size: int) -> bool:
    """Whether an operator should know; no room at all is a kernel without conntrack."""
    return size > 0 and count >= NEARLY_FULL * size


def nearly_full(count: int, size: int) -> str:
    """The line that says so, ``""`` where there is room yet."""
    if not is_nearly_full(count, size):
        return ""
    return (
        f"conntrack has {count} connections and room for {size}: a full table loses new ones; sluice_conntrack_max "
        "makes room"
    )


def room(processors: int, memory: int) -> int:
    """The room that a load balancer gets which says nothing of its own: kube-proxy's, in an eighth of its ``memory``.

    The memory is in bytes. It is taken as connections come.
    """
    return min(max(_PER_PROCESSOR * processors, _AT_LEAST), memory // _SHARE // _ENTRY)


Flows = Mapping[Way, Sequence[bytes]]
"""The flows of each way, as the kernel told of them."""


def udp_flows(family: str) -> Flows:
    """All UDP flows of ``family`` in this network namespace. Raises NodeError."""
    return _flows(family, _UDP)


def tcp_connections(family: str) -> Flows:
    """All TCP connections of ``family`` in this network namespace. Raises NodeError."""
    return _flows(family, _TCP)


def is_answered(flow: bytes) -> bool:
    """Whether there was a packet in both directions (IPS_SEEN_REPLY of linux/netfilter/nf_conntrack_common.h)."""
    status = dict(netlink.attributes(flow, _HEADER.size)).get(_STATUS, b"")
    return bool(int.from_bytes(status, "big") & _SEEN_REPLY)


def _flows(family: str, protocol: bytes) -> Flows:
    header = _HEADER.pack(_FAMILIES[family], 0, 0)
    # Since Linux 5.8 the kernel passes over other protocols; one before takes no notice and tells of all.
    only = attribute(NESTED | _ORIGINAL, attribute(NESTED | _PROTOCOL, attribute(_NUMBER, protocol)))
    only += attribute(NESTED | _FILTER, attribute(_FILTER_ORIGINAL, struct.pack("=I", _FILTER_PROTOCOL)))
    with _connected() as link:
        return parse(netlink.ask(link, _GET, header + only, netlink.DUMP), family, protocol)


def parse(messages: Iterable[bytes], family: str, protocol: bytes) -> Flows:
    """The flows of ``family`` by ``protocol`` among the bodies of messages.

    There may be hundreds of thousands, of few ways: only those are read any further.
    """
    match = _directions(family, protocol).match
    found: dict[tuple[bytes, ...], list[bytes]] = {}
    for data in messages:
        directions = match(data)
        if directions:
            found.setdefault(directions.groups(), []).append(data)
    return {_way(family, *way): flows for way, flows in found.items()}


def _way(family: str, destination: bytes, port: bytes, reply_source: bytes, reply_port: bytes) -> Way:
    kind = _FAMILIES[family]
    ends = socket.inet_ntop(kind, destination), socket.inet_ntop(kind, reply_source)
    return Way(ends[0], int.from_bytes(port, "big"), ends[1], int.from_bytes(reply_port, "big"))


def delete(flows: Iterable[bytes]) -> int:
    """Delete flows of which ``udp_flows`` told; one that has ended by itself is fine.

    Returns how many were deleted. Raises NodeError where the kernel refuses one; the others are deleted nevertheless.
    """
    bodies = [named(flow) for flow in flows]
    with _connected() as link:
        failures = list(netlink.carry_out(link, _DELETE, bodies))
        for code in failures:
            if code != errno.ENOENT:
                raise OSError(code, os.strerror(code))
    return len(bodies) - len(failures)


def named(flow: bytes) -> bytes:
    """What names just this flow to the kernel: its original direction, its zone, and its id.

    A later flow with the same addresses and ports has another id.
    """
    return flow[: _HEADER.size] + netlink.picked(flow, _NAMING, _HEADER.size)


@functools.cache
def _directions(family: str, protocol: bytes) -> re.Pattern[bytes]:
    """What a message about a flow by ``protocol`` begins with.

    Its groups: the destination and its port in the original direction, the source and its port in that of replies.
    """
    original, reply = _direction(family, protocol, _ORIGINAL, 1), _direction(family, protocol, _REPLY, 0)
    return re.compile(b".{%d}%s%s" % (_HEADER.size, original, reply), re.DOTALL)


def _direction(family: str, protocol: bytes, kind: int, kept: int) -> bytes:
    """Matches one direction of a flow. The groups: the source and its port (``kept`` 0), or the destination's."""
    first, size = (1, 4) if family == addresses.IPV4 else (3, 16)
    sides = [b"(.{%d})" if side == kept else b".{%d}" for side in range(2)]
    ends = b"".join(_head(first + side, size) + what % size for side, what in enumerate(sides))
    ports = b"".join(_head(_SOURCE_PORT + side, 2) + what % 2 + b".." for side, what in enumerate(sides))
    numbers = _head(_NUMBER, 1) + re.escape(protocol) + b"..." + ports
    pieces = [_head(NESTED | _IP, 2 * (4 + size)), ends, _head(NESTED | _PROTOCOL, 24), numbers]
    # A zone may hold for one direction only, and is then part of it.
    zone = b"(?:%s.{4})?" % _head(_TUPLE_ZONE, 2)
    return b".." + re.escape(struct.pack("=H", NESTED | kind)) + b"".join(pieces) + zone


def _head(kind: int, size: int) -> bytes:
    return re.escape(struct.pack("=HH", 4 + size, kind))


@contextlib.contextmanager
def _connected() -> Iterator[socket.socket]:
    try:
        with netlink.netfilter() as link:
            yield link
    except OSError as error:
        reason = "the kernel has no ctnetlink" if error.errno in _MISSING else error.strerror or error
        raise NodeError(f"conntrack: {reason}: UDP flows to endpoints that are gone cannot be deleted") from None
