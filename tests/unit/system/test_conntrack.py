"""UDP flows are read from what ctnetlink tells, in the bytes in which it tells it."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import NamedTuple

import places
import pytest

from sluice.addresses import IPV4, IPV6
from sluice.system import conntrack, linux
from sluice.system.conntrack import Way
from sluice.system.netlink import attribute
from sluice.system.tools import NodeError

NESTED = 0x8000
RECORDED = bytes.fromhex(
    "02000000 34000180 14000180 08000100 0a140007 08000200 0a600002 1c000280 05000100 11000000 06000200 8f780000"
    "06000300 00350000 34000280 14000180 08000100 0af40101 08000200 0a140007 1c000280 05000100 11000000 06000200"
    "00350000 06000300 8f780000 08000300 0000000e 08000800 00000000 08000c00 eed3ade9 08000b00 00000001 08000700"
    "00000257 1c001880 08000100 00000000 08000200 00000000 08000300 00000000"
)
"""What a Linux 6.18 of little endian told of one flow that its own ctnetlink had made."""


class Side(NamedTuple):
    """One direction: from where to where."""

    source: str
    source_port: int
    destination: str
    port: int


ASKED, ANSWERED = Side("198.51.100.2", 40000, "10.96.0.2", 53), Side("10.244.1.1", 5353, "198.51.100.2", 40000)
ASKED6, ANSWERED6 = Side("2001:db8::2", 40000, "fd00::2", 53), Side("fd00::11", 5353, "2001:db8::2", 40000)
WAY = Way("10.96.0.2", 53, "10.244.1.1", 5353)
ID = attribute(12, b"\1\2\3\4")


def direction(kind: int, side: Side, *more: bytes, protocol: int = 17) -> bytes:
    family, first = (socket.AF_INET6, 3) if ":" in side.source else (socket.AF_INET, 1)
    ends = [socket.inet_pton(family, each) for each in (side.source, side.destination)]
    ports = [struct.pack(">H", each) for each in (side.source_port, side.port)]
    inner = [attribute(NESTED | 1, b"".join(attribute(first + at, each) for at, each in enumerate(ends)))]
    numbers = [attribute(1, bytes([protocol])), *(attribute(2 + at, each) for at, each in enumerate(ports))]
    inner.append(attribute(NESTED | 2, b"".join(numbers)))
    return attribute(NESTED | kind, b"".join([*inner, *more]))


def header(side: Side) -> bytes:
    return bytes([socket.AF_INET6 if ":" in side.source else socket.AF_INET, 0, 0, 0])


def told(asked: Side, answered: Side, *more: bytes, protocol: int = 17) -> bytes:
    directions = direction(1, asked, protocol=protocol) + direction(2, answered, protocol=protocol)
    return header(asked) + directions + b"".join([*more, attribute(3, bytes(4)), ID, attribute(11, bytes(4))])


def parsed(*messages: bytes, family: str = IPV4) -> dict[Way, list[bytes]]:
    return {way: list(flows) for way, flows in conntrack.parse(messages, family, bytes([17])).items()}


@pytest.mark.skipif(struct.pack("=H", 1) != b"\1\0", reason="recorded on a machine of little endian")
def test_recorded() -> None:
    assert parsed(RECORDED) == {Way("10.96.0.2", 53, "10.244.1.1", 53): [RECORDED]}
    assert conntrack.named(RECORDED) == RECORDED[: 4 + 52] + bytes.fromhex("08000c00 eed3ade9")


@pytest.mark.parametrize(("family", "asked", "answered"), [(IPV4, ASKED, ANSWERED), (IPV6, ASKED6, ANSWERED6)])
def test_flows_of_one_way_and_what_names_each(family: str, asked: Side, answered: Side) -> None:
    zone = attribute(18, b"\0\7")
    other = told(asked._replace(source_port=1), answered._replace(port=1))
    flows = [told(asked, answered), told(asked, answered, zone), other]
    assert parsed(*flows, family=family) == {Way(asked.destination, 53, answered.source, 5353): flows}
    begin = header(asked) + direction(1, asked)
    assert [conntrack.named(flow) for flow in flows[:2]] == [begin + ID, begin + zone + ID]


@pytest.mark.parametrize("zoned", [1, 2])
def test_a_zone_of_one_direction(zoned: int) -> None:
    zone = attribute(3, b"\0\7")
    sides = [direction(kind, side, *[zone] * (kind == zoned)) for kind, side in ((1, ASKED), (2, ANSWERED))]
    flow = header(ASKED) + b"".join(sides) + ID
    assert parsed(flow) == {WAY: [flow]}
    assert conntrack.named(flow) == header(ASKED) + sides[0] + ID


def test_every_byte_may_stand_in_addresses_and_ports() -> None:
    """A line's end among them, which has a meaning of its own elsewhere."""
    asked, answered = (
        Side("10.10.10.10", 0x0A0A, "10.10.0.93", 0x0A5D),
        Side("10.10.92.10", 0x5C0A, "10.10.10.10", 2570),
    )
    [way] = parsed(told(asked, answered))
    assert way == ("10.10.0.93", 0x0A5D, "10.10.92.10", 0x5C0A)


def test_no_flows_of_udp() -> None:
    echo = header(ASKED) + attribute(
        NESTED | 1,
        direction(1, ASKED)[4:24]
        + attribute(NESTED | 2, attribute(1, b"\1") + attribute(4, b"\0\1") + attribute(5, b"\0")),
    )
    assert parsed(told(ASKED, ANSWERED, protocol=6), echo, b"", told(ASKED, ANSWERED)[:100]) == {}
    assert parsed(told(ASKED6, ANSWERED6)) == {}, "of another family"


def test_who_may_not_is_told() -> None:
    def look() -> str:
        try:
            return repr(conntrack.udp_flows(IPV4))
        except NodeError as error:
            return str(error)

    said = places.as_nobody(look)
    assert said == "conntrack: Operation not permitted: UDP flows to endpoints that are gone cannot be deleted"


def test_room_as_kube_proxy_has_it_and_the_memory_allows() -> None:
    gigabyte = 1 << 30
    assert conntrack.room(1, 8 * gigabyte) == conntrack.room(4, 8 * gigabyte) == 131072
    assert conntrack.room(16, 64 * gigabyte) == 16 * 32768
    assert conntrack.room(2, gigabyte // 2) == 131072
    assert conntrack.room(2, gigabyte // 8) == gigabyte // 8 // 8 // 400


def test_how_full_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "_SYSCTLS", f"{tmp_path}/")
    assert conntrack.fill() == (0, 0), "there is no conntrack"
    folder = tmp_path / "net/netfilter"
    folder.mkdir(parents=True)
    for name, value in (("count", 79), ("max", 100)):
        (folder / f"nf_conntrack_{name}").write_text(f"{value}\n")
    assert conntrack.fill() == (79, 100)
    assert conntrack.nearly_full(79, 100) == conntrack.nearly_full(0, 0) == ""
    assert conntrack.nearly_full(80, 100).startswith("conntrack has 80 connections and room for 100: ")
