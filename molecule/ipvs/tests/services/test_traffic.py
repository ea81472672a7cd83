"""Real packets through every kind of service address, and the shares that the schedulers promise."""

from __future__ import annotations

import typing

import pytest
from balancer import CLIENT, TO_CLIENT, TO_PODS, pods

if typing.TYPE_CHECKING:
    from conftest import Node

EVERY = ("pod-11", "pod-25", "pod-30")
SHOP = ("pod-11", "pod-30")


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        pytest.param("10.96.0.10", 80, EVERY, id="cluster-ip"),
        pytest.param("192.168.11.23", 6443, EVERY, id="walkthrough"),
        pytest.param(TO_CLIENT, 30080, SHOP, id="node-port"),
        pytest.param("203.0.113.20", 80, SHOP, id="external-ip"),
        pytest.param("203.0.113.30", 80, EVERY, id="load-balancer"),
    ],
)
def test_round_robin(node: Node, address: str, port: int, expected: tuple[str, ...]) -> None:
    """Exactly alike, not by chance; the client is no pod, so the pods see the node."""
    answers = node.ask("tcp", address, port, count=100 * len(expected))
    assert answers == {f"{pod} {TO_PODS}": 100 for pod in expected}


def test_weighted_round_robin(node: Node) -> None:
    """Exactly 3:2:1, in every six requests."""
    assert pods(node.ask("tcp", "10.96.0.60", 80, count=60)) == {"pod-11": 30, "pod-25": 20, "pod-30": 10}


def test_source_hashing(node: Node) -> None:
    """Each source stays with one endpoint; these three fall into buckets of different ones (``ip_vs_sh_hashkey``)."""
    sources = (CLIENT, "198.51.100.4", "198.51.100.5")
    answers = [pods(node.ask("tcp", "10.96.0.61", 80, source=source, count=50)) for source in sources]
    assert [list(times.values()) for times in answers] == [[50]] * 3
    assert {pod for times in answers for pod in times} == set(EVERY)


def test_udp(node: Node) -> None:
    """A source port that comes again within the timeout stays with its endpoint: nearly alike."""
    answers = pods(node.ask("udp", "10.96.0.53", 53, count=90))
    assert set(answers) == set(EVERY)
    assert all(25 <= times <= 35 for times in answers.values())


def test_affinity(node: Node) -> None:
    assert len(node.ask("tcp", "10.96.0.50", 80, count=20)) == 1


@pytest.mark.parametrize(("address", "port"), [("172.29.163.9", 6443), (TO_CLIENT, 31714)])
def test_local_policy_keeps_the_source(node: Node, address: str, port: int) -> None:
    assert node.ask("tcp", address, port, count=10) == {f"pod-11 {CLIENT}": 10}


def test_source_ranges(node: Node) -> None:
    """Sources that are not allowed are dropped at the load balancer's address, and only there."""
    assert node.ask("tcp", "203.0.113.30", 80, source="198.51.100.3") == {"timeout": 1}
    assert set(pods(node.ask("tcp", "10.96.0.30", 80, source="198.51.100.3"))) <= set(EVERY)


def test_no_endpoints_is_refused(node: Node) -> None:
    assert node.ask("tcp", "10.96.0.40", 80, count=3) == {"refused": 3}


def test_daemons_of_the_host_stay_out_of_reach(node: Node) -> None:
    """sshd listens on 0.0.0.0, which the addresses of kube-ipvs0 are part of (kubernetes#72236)."""
    assert node.host.socket("tcp://0.0.0.0:22").is_listening
    assert node.ask("tcp", "10.96.0.10", 22) == {"refused": 1}


def test_pod_keeps_its_address(node: Node) -> None:
    """From the cluster's own addresses nothing is masqueraded but a local pod that meets itself."""
    answers = node.ask("tcp", "192.168.11.23", 6443, where="pod-11", count=30)
    assert answers == {f"pod-11 {TO_PODS}": 10, "pod-25 172.33.0.11": 10, "pod-30 172.33.0.11": 10}


@pytest.mark.parametrize(("address", "port"), [("10.96.0.20", 80), (TO_CLIENT, 30080)])
def test_from_the_node(node: Node, address: str, port: int) -> None:
    assert pods(node.ask("tcp", address, port, where="", count=20)) == dict.fromkeys(SHOP, 10)
