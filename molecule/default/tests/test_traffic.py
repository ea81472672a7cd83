"""Real packets through every kind of service address: who answered, and what the rules' counters say."""

from __future__ import annotations

import collections
import re
import typing

import pytest

if typing.TYPE_CHECKING:
    from conftest import Node

CLIENT = "198.51.100.2"
TO_CLIENT, TO_PODS = "198.51.100.1", "172.33.0.1"  # the node's addresses
PODS = {"172.33.0.11": "pod-11", "172.33.0.25": "pod-25", "172.33.0.30": "pod-30"}
EVERY = frozenset(PODS.values())
REQUESTS = 60  # that one of three endpoints gets none of them has a chance of 1 in 10^10


def pods(answers: dict[str, int]) -> dict[str, int]:
    """Answers a pod, whatever source it saw."""
    counted: collections.Counter[str] = collections.Counter()
    for answer, times in answers.items():
        counted[answer.split()[0]] += times
    return dict(counted)


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
    ("service", "protocol", "address", "port", "expected"),
    [
        pytest.param("kube-system/kubernetes-lb", "tcp", "192.168.11.23", 6443, EVERY, id="walkthrough"),
        pytest.param("default/web", "tcp", "10.96.0.10", 80, EVERY, id="cluster-ip"),
        pytest.param("default/shop:http", "tcp", TO_CLIENT, 30080, {"pod-11", "pod-30"}, id="node-port"),
        pytest.param("default/shop:http", "tcp", "203.0.113.20", 80, {"pod-11", "pod-30"}, id="external-ip"),
        pytest.param("default/private", "tcp", "203.0.113.30", 80, EVERY, id="load-balancer"),
        pytest.param("default/dns", "udp", "10.96.0.53", 53, EVERY, id="udp"),
    ],
)
def test_balanced(
    node: Node, service: str, protocol: str, address: str, port: int, expected: typing.AbstractSet[str]
) -> None:
    before = translated(node, service)
    answers = node.ask(protocol, address, port, count=REQUESTS)
    after = translated(node, service)
    assert set(pods(answers)) == expected
    # The client is no pod, so the pods see the node.
    assert {answer.split()[1] for answer in answers} == {TO_PODS}
    assert {pod: after[pod] - before[pod] for pod in expected} == pods(answers)


@pytest.mark.parametrize(("address", "port"), [("172.29.163.9", 6443), (TO_CLIENT, 31714)])
def test_local_policy_keeps_the_source(node: Node, address: str, port: int) -> None:
    pod = {"nft": "pod-11", "legacy": "pod-25"}[node.variant]
    assert node.ask("tcp", address, port, count=10) == {f"{pod} {CLIENT}": 10}


def test_source_ranges(node: Node) -> None:
    """Sources that are not allowed are dropped at the load balancer's address, and only there."""
    before = dropped(node)
    assert node.ask("tcp", "203.0.113.30", 80, source="198.51.100.3") == {"timeout": 1}
    assert dropped(node) > before
    assert set(pods(node.ask("tcp", "10.96.0.30", 80, source="198.51.100.3"))) <= EVERY


def test_no_endpoints_is_refused(node: Node) -> None:
    assert node.ask("tcp", "10.96.0.40", 80, count=3) == {"refused": 3}


def test_affinity(node: Node) -> None:
    assert len(node.ask("tcp", "10.96.0.50", 80, count=20)) == 1


def test_pod_keeps_its_address(node: Node) -> None:
    """From the cluster's own addresses nothing is masqueraded but the hairpin: a pod that meets itself."""
    answers = node.ask("tcp", "10.96.0.10", 80, where="pod-11", count=REQUESTS)
    assert set(answers) == {f"pod-11 {TO_PODS}", "pod-25 172.33.0.11", "pod-30 172.33.0.11"}


@pytest.mark.parametrize(("address", "port"), [("10.96.0.20", 80), (TO_CLIENT, 30080)])
def test_from_the_node(node: Node, address: str, port: int) -> None:
    assert set(pods(node.ask("tcp", address, port, where="", count=REQUESTS))) == {"pod-11", "pod-30"}
