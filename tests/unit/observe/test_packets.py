"""What a packet is, which addresses a node has, and what lies in a network."""

from __future__ import annotations

import pytest

from sluice.observe.packets import ELSEWHERE, Node, Packet, State, within


@pytest.mark.parametrize(
    ("address", "network", "lies"),
    [
        ("10.0.0.1", "10.0.0.0/8", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.9.9.9/8", True),
        ("11.0.0.1", "10.0.0.0/8", False),
        ("fd00::1", "10.0.0.0/8", False),
        ("fd00::1", "::/0", True),
        (ELSEWHERE, "0.0.0.0/0", True),
        (ELSEWHERE, "0.0.0.0/1", False),
    ],
)
def test_networks(address: str, network: str, lies: bool) -> None:
    assert within(address, network) is lies


@pytest.mark.parametrize(("address", "network"), [("10.0.0.1", "host.example"), ("host.example", "10.0.0.0/8")])
def test_what_is_no_network(address: str, network: str) -> None:
    with pytest.raises(ValueError, match="host"):
        within(address, network)


@pytest.mark.parametrize(
    ("address", "has"),
    [
        ("10.0.0.10", True),
        ("127.5.5.5", True),
        ("::1", True),
        ("10.0.0.11", False),
        (ELSEWHERE, False),
        ("host.example", False),
    ],
)
def test_addresses_of_a_node(address: str, has: bool) -> None:
    assert Node(["10.0.0.10"]).has(address) is has


def test_a_packet_under_way() -> None:
    state = State(Packet("fd00::1", 80, "udp", "fd00::a"), Node(["fd00::a"]))
    assert (state.packet.family, state.is_here, state.is_inside) == ("IPv6", False, False)
    sent = state.sent_to("::1", 8080, "DNAT")
    assert (sent.endpoint, sent.is_here, sent.is_inside) == ("[::1]:8080", True, True)
    assert sent.packet == Packet("::1", 8080, "udp", "fd00::a")
    assert sent.connection == {"NEW", "DNAT"}
