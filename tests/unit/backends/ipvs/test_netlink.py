"""What generic netlink tells of virtual servers, in the bytes in which it tells it."""

from __future__ import annotations

import socket
import struct

import pytest

from sluice.backends.ipvs import netlink as ipvs_netlink

STATISTICS = struct.pack("=HH8x", 12, 10) + struct.pack("=HH16x", 20, 12)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def service(address: str, port: int, *options: bytes, protocol: int = 6) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (
        attribute(1, struct.pack("=H", family))
        + attribute(2, struct.pack("=H", protocol))
        + attribute(3, socket.inet_pton(family, address).ljust(16, b"\0"))
        + attribute(4, struct.pack(">H", port))
        + b"".join(options)
        + STATISTICS
    )


def options(
    scheduler: bytes, flags: int = 2, timeout: int = 0, netmask: bytes = b"\xff" * 4, engine: bytes = b""
) -> bytes:
    pieces = [attribute(6, scheduler + b"\0"), attribute(11, engine + b"\0") if engine else b""]
    pieces += [attribute(7, struct.pack("=II", flags, 0xFFFFFFFF)), attribute(8, struct.pack("=I", timeout))]
    return b"".join([*pieces, attribute(9, netmask)])


def test_options_are_those_of_ipvsadm() -> None:
    marked = attribute(1, struct.pack("=H", 2)) + attribute(5, struct.pack("=I", 7)) + options(b"wlc") + STATISTICS
    found = ipvs_netlink.parse(
        [
            service("10.96.0.1", 443, options(b"rr", 0x3, 10800)),
            service("10.96.0.2", 80, options(b"lblcr")),
            service("fd00:96::a", 53, options(b"mh", 0x12, 0, struct.pack("=I", 128)), protocol=17),
            service("10.96.0.5", 1, options(b"sh", 0x1F, 60, bytes([255, 255, 255, 0]), b"sip"), protocol=132),
            service("10.96.0.6", 1, options(b"wrr", 0x8)),
            marked,
        ]
    )
    assert found == {
        "TCP 0A600001:01BB": "-s rr -p 10800",
        "TCP 0A600002:0050": "-s lblcr",
        "UDP [fd00:0096:0000:0000:0000:0000:0000:000a]:0035": "-s mh -b mh-port",
        "SCTP 0A600005:0001": "-s sh -p 60 -M 255.255.255.0 --pe sip -o -b sh-fallback,sh-port",
        "TCP 0A600006:0001": "-s wrr -b flag-1",
    }


@pytest.mark.parametrize("data", [b"", STATISTICS * 4, service("10.96.0.1", 443)[8:]])
def test_what_is_not_expected_is_not_guessed_at(data: bytes) -> None:
    with pytest.raises((ValueError, LookupError)):
        ipvs_netlink.parse([data])
