"""What a packet is, which addresses a node has, and what lies in a network."""

from __future__ import annotations

import pytest

from sluice.observe.packets import ELSEWHERE, INVALID, Node, Packet, State, within


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


@pytest.mark.parametrize(
    ("source", "own", "endpoint"),
    [
        ("10.1.0.1", ["10.0.0.10", "fd00::10"], "10.0.0.10:8080"),
        (ELSEWHERE, ["10.0.0.10", "127.0.0.2"], "10.0.0.10:8080"),
        ("10.1.0.1", ["10.0.0.10", "10.0.0.11"], "the node:8080"),
        ("10.1.0.1", [], "the node:8080"),
        ("10.0.0.11", ["10.0.0.10", "10.0.0.11"], "127.0.0.1:8080"),
        ("127.0.0.1", [], "127.0.0.1:8080"),
        ("fd00::a", ["fd00::10", "fe80::1", "10.0.0.10"], "[fd00::10]:8080"),
        ("fd00::a", ["fd00::10", "fd00::11"], "the node:8080"),
        ("fd00::10", ["fd00::10", "fd00::11"], "[::1]:8080"),
    ],
)
def test_what_is_sent_to_the_node_itself(source: str, own: list[str], endpoint: str) -> None:
    six = ":" in own[0] if own else False
    state = State(Packet("fd00:96::1" if six else "10.96.0.1", 80, "tcp", source), Node(own)).redirected(8080)
    assert state.endpoint == endpoint
    assert (state.is_here, state.packet.port, state.connection) == (True, 8080, {"NEW", "DNAT"})
    assert state.packet.family == ("IPv6" if six else "IPv4")


def test_what_conntrack_has_seen_it_goes_on_to_follow() -> None:
    state = State(Packet("10.96.0.1", 80), Node())
    assert state.untracked() == state
    assert state._replace(connection=frozenset({INVALID})).untracked().connection == {"UNTRACKED"}
