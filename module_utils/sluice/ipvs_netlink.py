"""The virtual servers of IPVS as generic netlink tells them: all in one answer (linux/ip_vs.h, linux/genetlink.h)."""

from __future__ import annotations

import functools
import socket
import struct
import sys
from collections.abc import Iterator, Mapping

from .ipvs_options import FLAGS
from .ipvs_text import Frontend, VirtualServer

_NETLINK_GENERIC = 16
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_GET_SERVICE = 4
_AF, _PROTOCOL, _ADDRESS, _PORT, _MARK, _SCHEDULER, _FLAGS, _TIMEOUT, _NETMASK = range(1, 10)
_ENGINE = 11
_PERSISTENT, _ONE_PACKET = 0x1, 0x4
_SCHEDULER_FLAGS = (0x8, 0x10, 0x20)
_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}

_MESSAGE = struct.Struct("=IHHIIBBH")
"""The headers of netlink and of generic netlink: length, type, flags, sequence, port; command, version."""

_ATTRIBUTE = struct.Struct("=HH")
_WHOLE = (b"\xff\xff\xff\xff", (128).to_bytes(4, sys.byteorder))
"""Netmasks of persistence that are not worth a word: each client by itself, in IPv4 and in IPv6."""

_BUFFER = 1 << 17


def options() -> dict[str, tuple[str, str]]:
    """Of each virtual server its name and its options, as ``ipvsadm -Sn`` prints them, for ``ipvs_text.from_proc``.

    Raises OSError, also where there is no IPVS.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC) as link:
        link.settimeout(10)
        family = next(_ask(link, _CONTROL, _GET_FAMILY, 0, _ATTRIBUTE.pack(9, _FAMILY_NAME) + b"IPVS\0\0\0\0"))
        number = _number(_attributes(family)[_FAMILY_ID])
        # The answer is one attribute, and all that it holds.
        services = (_attributes(data[_ATTRIBUTE.size :]) for data in _ask(link, number, _GET_SERVICE, _DUMP))
        return dict(told(service) for service in services if _MARK not in service)


def _ask(link: socket.socket, kind: int, command: int, flags: int, data: bytes = b"") -> Iterator[bytes]:
    """What the kernel answers, a message at a time, without headers."""
    link.send(_MESSAGE.pack(_MESSAGE.size + len(data), kind, _REQUEST | flags, 1, 0, command, 1, 0) + data)
    while True:
        answer = link.recv(_BUFFER)
        at = 0
        while at < len(answer):
            length, kind, _flags, _sequence, _port = struct.unpack_from("=IHHII", answer, at)
            if kind == _ERROR:
                raise OSError("netlink refuses what it is asked")
            if kind == _DONE:
                return
            yield answer[at + _MESSAGE.size : at + length]
            at += (length + 3) & ~3
        if not flags:
            return


def _attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by type."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        found[kind & 0x3FFF] = data[at + _ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)
    return found


def _number(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder)


def told(service: Mapping[int, bytes]) -> tuple[str, tuple[str, str]]:
    """A virtual server as /proc/net/ip_vs names it, and as ipvsadm does with its options; from its attributes."""
    protocol = _PROTOCOLS[_number(service[_PROTOCOL])]
    data, port = service[_ADDRESS], int.from_bytes(service[_PORT], "big")
    if _number(service[_AF]) == socket.AF_INET:
        address, listed = socket.inet_ntoa(data[:4]), data[:4].hex().upper()
    else:
        address, listed = socket.inet_ntop(socket.AF_INET6, data), f"[{data.hex(':', 2)}]"
    # Few kinds of options, thousands of virtual servers.
    options = _options(service[_SCHEDULER], *(service.get(kind, b"") for kind in (_FLAGS, _TIMEOUT, _NETMASK, _ENGINE)))
    return f"{protocol.upper()} {listed}:{port:04X}", (Frontend(protocol, address, port).text, options)


@functools.lru_cache(maxsize=1024)
def _options(scheduler: bytes, flags: bytes, timeout: bytes, netmask: bytes, engine: bytes) -> str:
    name, bits = _text(scheduler), _number(flags[:4])
    other = []
    if bits & _PERSISTENT and netmask not in _WHOLE:
        other.append(f"-M {socket.inet_ntoa(netmask)}")
    if engine:
        other.append(f"--pe {_text(engine)}")
    if bits & _ONE_PACKET:
        other.append("-o")
    names = FLAGS.get(name, ("flag-1", "flag-2", "flag-3"))
    chosen = tuple(names[i] if i < len(names) else f"flag-{i + 1}" for i in range(3) if bits & _SCHEDULER_FLAGS[i])
    return VirtualServer(name, _number(timeout) if bits & _PERSISTENT else 0, chosen, {}, " ".join(other)).options


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode()
