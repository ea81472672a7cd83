"""The rules that a packet went through have counted it: those of its Service, and of the endpoint that answered."""

from __future__ import annotations

import re
import typing

import pytest
from balancer import PODS, TO_CLIENT, pods

if typing.TYPE_CHECKING:
    from conftest import Node


def translated(node: Node, service: str) -> dict[str, int]:
    """New connections that the rules of a service port have sent to each pod, by their DNAT rules' counters."""
    pattern = re.compile(rf'--comment "{re.escape(service)}" .*-j DNAT --to-destination (?P<address>[\d.]+):\d+$')
    found = {match: packets for rule, packets in node.packets("nat").items() if (match := pattern.search(rule))}
    return {PODS[match["address"]]: packets for match, packets in found.items()}


def dropped(node: Node) -> int:
    """Packets that the load balancers' source ranges did not let through."""
    return sum(
        packets for rule, packets in node.packets("filter").items() if rule.startswith("-A KUBE-PROXY-FIREWALL ")
    )


@pytest.mark.parametrize(
    ("service", "protocol", "address", "port"),
    [
        ("kube-system/kubernetes-lb", "tcp", "192.168.11.23", 6443),
        ("default/web", "tcp", "10.96.0.10", 80),
        ("default/shop:http", "tcp", TO_CLIENT, 30080),
        ("default/shop:http", "tcp", "203.0.113.20", 80),
        ("default/private", "tcp", "203.0.113.30", 80),
        ("default/dns", "udp", "10.96.0.53", 53),
    ],
)
def test_answers_are_what_rules_counted(node: Node, service: str, protocol: str, address: str, port: int) -> None:
    # A port that another test's flow still has is no new connection: nobody else asks by UDP from there.
    source = "198.51.100.3" if protocol == "udp" else ""
    before = translated(node, service)
    answers = pods(node.ask(protocol, address, port, count=60, source=source))
    after = translated(node, service)
    assert {pod: after[pod] - before[pod] for pod in answers} == answers


def test_drops_of_source_ranges_are_counted(node: Node) -> None:
    before = dropped(node)
    assert node.ask("tcp", "203.0.113.30", 80, source="198.51.100.3") == {"timeout": 1}
    assert dropped(node) > before
