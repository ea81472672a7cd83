"""What comes back to a client, for each way in which a packet may end."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sluice.observe.answers import answer
from sluice.observe.outcomes import DROP, ENDPOINT, PASS, REJECT, Outcome, Step
from sluice.observe.packets import Node, Packet

NODE = Node(frozenset({"192.0.2.1"}))
CLIENT = Packet("203.0.113.7", 80, "tcp", "198.51.100.9")
RESTORED = "which puts 203.0.113.7:80 back as the sender"


def _answer(
    verdict: str,
    rule: str = "",
    packet: Packet = CLIENT,
    *,
    endpoint: str = "",
    masquerade: bool = False,
    table: str = "nat",
) -> str:
    path = (Step(table, "A", rule, "every packet"),) if rule else ()
    return answer(packet, Outcome(verdict, endpoint, Fraction(1), masquerade, path), NODE)


def test_by_way_of_the_node() -> None:
    told = _answer(ENDPOINT, endpoint="10.1.0.1:80", masquerade=True)
    assert told == f"the endpoint answers the node, {RESTORED} and sends it on to 198.51.100.9"
    told = _answer(ENDPOINT, packet=CLIENT._replace(source="192.0.2.1"), endpoint="10.1.0.1:80")
    assert told == f"the endpoint answers the node, {RESTORED}"
    assert _answer(ENDPOINT, endpoint="the node:80") == f"the endpoint is on this node, {RESTORED}"
    assert _answer(ENDPOINT, endpoint="192.0.2.1:80") == f"the endpoint is on this node, {RESTORED}"


@pytest.mark.parametrize(
    ("protocol", "does"), [("tcp", "resets the connection"), ("udp", "takes no notice"), ("sctp", "aborts it")]
)
def test_a_client_that_is_seen_needs_a_route(protocol: str, does: str) -> None:
    asked = CLIENT._replace(protocol=protocol)
    assert _answer(ENDPOINT, packet=asked, endpoint="10.1.0.1:80") == (
        f"the endpoint answers 198.51.100.9: its route there has to lead through this node, {RESTORED}; by another way "
        f"the endpoint is the sender, and 198.51.100.9 {does}"
    )
    assert "answers the client" in _answer(ENDPOINT, packet=asked._replace(source=""), endpoint="10.1.0.1:80")


def test_no_way_back() -> None:
    hairpin = CLIENT._replace(source="10.1.0.1")
    assert _answer(ENDPOINT, packet=hairpin, endpoint="10.1.0.1:80").startswith("none: the endpoint sees its own")
    assert _answer(ENDPOINT, packet=hairpin, endpoint="10.1.0.1:80", masquerade=True).startswith("the endpoint answers")
    loopback = CLIENT._replace(source="127.0.0.1")
    assert _answer(ENDPOINT, packet=loopback, endpoint="10.1.0.1:80") == "none: no other host can answer 127.0.0.1"
    assert _answer(DROP) == "none: 198.51.100.9 hears nothing, and waits until its timeout"


@pytest.mark.parametrize(
    ("method", "past"), [("-m -w 1", ""), ("-g -w 1", "(direct routing)"), ("-i -w 1", "(tunnelling)")]
)
def test_ipvs_without_rewriting(method: str, past: str) -> None:
    rule = f"-a -t 203.0.113.7:80 -r 10.1.0.1:80 {method}"
    told = _answer(ENDPOINT, rule, endpoint="10.1.0.1:80", table="ipvs")
    assert past in told
    assert ("past this node" in told) is bool(past)


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("-j REJECT", "ICMP port unreachable"),
        ("-p tcp -j REJECT --reject-with tcp-reset", "RST"),
        ("-j REJECT --reject-with icmp-port-unreachable", "ICMP port unreachable"),
        ("-j REJECT --reject-with icmp6-adm-prohibited", "ICMP admin prohibited"),
        ("reject with tcp reset", "RST"),
        ("reject with icmpx admin-prohibited", "ICMP admin prohibited"),
        ("reject", "ICMP port unreachable"),
        ("-A -t 203.0.113.7:80 -s rr", "ICMP port unreachable"),
    ],
)
def test_what_is_refused(rule: str, what: str) -> None:
    assert _answer(REJECT, rule) == f"{what} goes back to 198.51.100.9, which fails at once"


def test_what_goes_on_as_it_is() -> None:
    assert _answer(PASS) == "of whoever has 203.0.113.7, by any way: nothing is rewritten"
    assert "listens there on the node" in _answer(PASS, packet=CLIENT._replace(destination="192.0.2.1"))
    refused = _answer(REJECT, "-j REJECT", packet=CLIENT._replace(destination="fd00::1", source="fd00::2"))
    assert refused == "ICMPv6 port unreachable goes back to fd00::2, which fails at once"
