"""Real packets through every kind of service address, and who answered."""

from __future__ import annotations

import typing

import pytest
from balancer import CLIENT, PODS, TO_CLIENT, TO_PODS, pods

if typing.TYPE_CHECKING:
    from conftest import Node

EVERY = frozenset(PODS.values())
SHOP = {"pod-11", "pod-30"}
REQUESTS = 60  # that one of three endpoints gets none of them has a chance of 1 in 10^10


@pytest.mark.parametrize(
    ("protocol", "address", "port", "expected"),
    [
        pytest.param("tcp", "192.168.11.23", 6443, EVERY, id="walkthrough"),
        pytest.param("tcp", "10.96.0.10", 80, EVERY, id="cluster-ip"),
        pytest.param("tcp", TO_CLIENT, 30080, SHOP, id="node-port"),
        pytest.param("tcp", "203.0.113.20", 80, SHOP, id="external-ip"),
        pytest.param("tcp", "203.0.113.30", 80, EVERY, id="load-balancer"),
        pytest.param("udp", "10.96.0.53", 53, EVERY, id="udp"),
    ],
)
def test_balanced(node: Node, protocol: str, address: str, port: int, expected: typing.AbstractSet[str]) -> None:
    answers = node.ask(protocol, address, port, count=REQUESTS)
    assert set(pods(answers)) == expected
    # The client is no pod, so the pods see the node.
    assert {answer.split()[1] for answer in answers} == {TO_PODS}


@pytest.mark.parametrize(("address", "port"), [("172.29.163.9", 6443), (TO_CLIENT, 31714)])
def test_local_policy_keeps_the_source(node: Node, address: str, port: int) -> None:
    assert node.ask("tcp", address, port, count=10) == {f"{node.local_pod} {CLIENT}": 10}


def test_source_ranges(node: Node) -> None:
    """Sources that are not allowed are dropped at the load balancer's address, and only there."""
    assert node.ask("tcp", "203.0.113.30", 80, source="198.51.100.3") == {"timeout": 1}
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
    assert set(pods(node.ask("tcp", address, port, where="", count=REQUESTS))) == SHOP
