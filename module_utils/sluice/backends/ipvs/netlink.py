"""The virtual servers of IPVS as generic netlink lists them, all in one answer (linux/ip_vs.h, linux/genetlink.h)."""

from __future__ import annotations

import functools
import socket
import struct
import sys
from collections.abc import Iterable

from ...balancing import FLAGS
from ...system import netlink
from .text import VirtualServer

_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_GET_SERVICE = 4
_AF, _PROTOCOL, _ADDRESS, _PORT, _MARK, _SCHEDULER, _FLAGS, _TIMEOUT, _NETMASK, _STATISTICS, _ENGINE = range(1, 12)
_PERSISTENT, _ONE_PACKET = 0x1, 0x4
_SCHEDULER_FLAGS = (0x8, 0x10, 0x20)
_PROTOCOLS = {6: "TCP", 17: "UDP", 132: "SCTP"}

_COMMAND = struct.Struct("=BBxx")
"""``genlmsghdr``: command, version."""

_BEGIN = _COMMAND.size + 4
"""Where an answer's attributes begin: it is one attribute that holds all others."""

_NAMED = struct.Struct("=HHH2xHHH2xHH16sHH2s2x")
"""Address family, protocol, address and port, with which every virtual server begins that has no mark."""

_HEADS = (6, _AF, 6, _PROTOCOL, 20, _ADDRESS, 6, _PORT)
_WHOLE = (b"\xff\xff\xff\xff", (128).to_bytes(4, sys.byteorder))
"""The default netmasks of persistence, each client by itself, in IPv4 and in IPv6; ipvsadm prints none."""


def options() -> dict[str, str]:
    """The options of each virtual server as ``ipvsadm -Sn`` prints them, by its words in /proc/net/ip_vs.

    Raises OSError, also where there is no IPVS, and ValueError where the answer is not understood.
    """
    with netlink.connect(netlink.GENERIC) as link:
        name = netlink.attribute(_FAMILY_NAME, b"IPVS\0")
        family = next(netlink.ask(link, _CONTROL, _COMMAND.pack(_GET_FAMILY, 1) + name))
        kind = netlink.number(dict(netlink.attributes(family, _COMMAND.size))[_FAMILY_ID])
        answers = netlink.ask(link, kind, _COMMAND.pack(_GET_SERVICE, 1), netlink.DUMP)
        return parse(data[_BEGIN:] for data in answers)


def parse(services: Iterable[bytes]) -> dict[str, str]:
    """``options`` from the attributes of each virtual server.

    There are thousands of virtual servers but few combinations of options, so each combination is parsed once, as one
    piece of bytes. The piece ends before the statistics, which have the same length everywhere.
    """
    found = {}
    statistics = 0
    for data in services:
        if len(data) < _NAMED.size:
            raise ValueError("a virtual server is cut off")
        a, b, family, c, kind, protocol, d, e, address, f, g, port = _NAMED.unpack_from(data)
        if kind == _MARK:
            continue
        if (a, b, c, kind, d, e, f, g) != _HEADS:
            raise ValueError("a virtual server has an unexpected form")
        statistics = statistics or _statistics(data)
        listed = address[:4].hex().upper() if family == socket.AF_INET else f"[{address.hex(':', 2)}]"
        found[f"{_PROTOCOLS[protocol]} {listed}:{port.hex().upper()}"] = _options(
            data[_NAMED.size : len(data) - statistics]
        )
    return found


@functools.lru_cache(maxsize=1024)
def _options(data: bytes) -> str:
    held = dict(netlink.attributes(data))
    name, bits, netmask = _text(held[_SCHEDULER]), netlink.number(held[_FLAGS][:4]), held[_NETMASK]
    other = []
    if bits & _PERSISTENT and netmask not in _WHOLE:
        other.append(f"-M {socket.inet_ntoa(netmask)}")
    if _ENGINE in held:
        other.append(f"--pe {_text(held[_ENGINE])}")
    if bits & _ONE_PACKET:
        other.append("-o")
    names = FLAGS.get(name, ())
    flags = tuple(
        names[i] if i < len(names) else f"flag-{i + 1}" for i, flag in enumerate(_SCHEDULER_FLAGS) if bits & flag
    )
    persistent = netlink.number(held[_TIMEOUT]) if bits & _PERSISTENT else 0
    return VirtualServer(name, persistent, flags, {}, " ".join(other)).options


def _statistics(data: bytes) -> int:
    """The length of all that follows the options."""
    at = 0
    for kind, value in netlink.attributes(data):
        if kind == _STATISTICS:
            return len(data) - at
        at += (4 + len(value) + 3) & ~3
    return 0


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode()
