"""UDP flows as the kernel tells them; that it deletes them is tested in tests/kernel/test_conntrack.py."""

from __future__ import annotations

import socket
import struct

import pytest

from sluice.addresses import IPV4, IPV6
from sluice.system import conntrack
from sluice.system.conntrack import Flow
from sluice.system.netlink import attribute, attributes, nested

UDP, TCP, ICMP = 17, 6, 1


def direction(kind: int, source: str, to: str, protocol: int, ports: tuple[int, ...], *more: bytes) -> bytes:
    family, first = (socket.AF_INET6, 3) if ":" in source else (socket.AF_INET, 1)
    ends = [attribute(first + place, socket.inet_pton(family, end)) for place, end in enumerate((source, to))]
    numbers = [attribute(place, struct.pack(">H", port)) for place, port in enumerate(ports, 2)]
    return nested(kind, nested(1, *ends), nested(2, attribute(1, bytes([protocol])), *numbers), *more)


def words(
    client: str, to: str, answerer: str, *more: bytes, protocol: int = UDP, ports: tuple[int, ...] = (40000, 53, 5353)
) -> bytes:
    there, back = (ports[:2], (ports[2], ports[0])) if ports else ((), ())
    return (
        direction(1, client, to, protocol, there)
        + direction(2, answerer, client, protocol, back)
        + b"".join(more)
        + attribute(3, b"\0\0\0\6")
        + attribute(12, b"name")
    )


FOUR = words("198.51.100.2", "10.96.0.2", "10.244.1.1")
SIX = words("fd00::2", "fd00:96::2", "fd00::11")


@pytest.mark.parametrize(
    ("family", "given", "flow"),
    [
        (IPV4, FOUR, ("10.96.0.2", 53, "10.244.1.1", 5353)),
        (IPV6, SIX, ("fd00:96::2", 53, "fd00::11", 5353)),
    ],
)
def test_flows(family: str, given: bytes, flow: tuple[str, int, str, int]) -> None:
    assert list(conntrack.parse([given, given], family)) == [Flow(*flow, given)] * 2


def test_other_protocols_are_left_out() -> None:
    """A kernel that does not know the filter tells all; some have no ports, some no form that we know."""
    ping = words("198.51.100.2", "10.96.0.2", "10.96.0.2", protocol=ICMP, ports=())
    others = [words("198.51.100.2", "10.96.0.2", "10.96.0.2", protocol=TCP), ping, b"", attribute(1, b"")]
    assert [flow.words for flow in conntrack.parse([*others, FOUR, *others, FOUR], IPV4)] == [FOUR, FOUR]


def test_another_form_is_read_as_well() -> None:
    """Attributes in another order, of another length, or with more of them among the ports."""
    zone = attribute(3, b"\0\7")
    turned = direction(2, "10.244.1.1", "198.51.100.2", UDP, (5353, 40000)) + direction(
        1, "198.51.100.2", "10.96.0.2", UDP, (40000, 53), zone
    )
    found = list(conntrack.parse([FOUR, turned, FOUR, turned], IPV4))
    assert {flow[:4] for flow in found} == {("10.96.0.2", 53, "10.244.1.1", 5353)}
    assert len(found) == 4


def test_what_names_a_flow() -> None:
    """Where it comes from and goes to, its zone and its number: no other flow is deleted in its place."""
    zone = attribute(18, b"\0\7")
    named = conntrack._name(words("198.51.100.2", "10.96.0.2", "10.244.1.1", zone))
    assert [kind for kind, _value in attributes(named)] == [1, 18, 12]
    assert dict(attributes(named))[18] == b"\0\7"
    assert named.startswith(direction(1, "198.51.100.2", "10.96.0.2", UDP, (40000, 53)))
