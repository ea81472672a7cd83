"""What the node tells of its own packets: which way they take, and how many there were."""

from __future__ import annotations

import json
import time
import typing

import pytest
from balancer import CLIENT, TO_CLIENT

if typing.TYPE_CHECKING:
    from conftest import Node


@pytest.mark.parametrize(
    ("place", "shares", "masquerade"),
    [
        pytest.param("10.96.0.10:80", ["1/3"] * 3, True, id="cluster-ip"),
        pytest.param(f"{TO_CLIENT}:30080", ["1/2"] * 2, True, id="node-port"),
        pytest.param("203.0.113.30:80", ["1/3"] * 3, True, id="load-balancer"),
        pytest.param("10.96.0.60:80", ["1/2", "1/3", "1/6"], True, id="weights"),
        pytest.param("172.29.163.9:6443", ["1"], False, id="policy-local"),
    ],
)
def test_trace_says_what_packets_do(node: Node, place: str, shares: list[str], masquerade: bool) -> None:
    """As test_traffic sees them do."""
    told = json.loads(node.host.check_output(f"sluice trace --json --from {CLIENT} --to {place}"))
    found = [(each["verdict"], each["probability"], each["masquerade"]) for each in told["outcomes"]]
    assert found == [("endpoint", share, masquerade) for share in shares]


def test_nothing_is_odd(node: Node) -> None:
    told = node.host.run("sluice explain")
    assert (told.rc, told.stderr) == (0, ""), told.stdout


def test_connections_are_counted(node: Node) -> None:
    def counted() -> float:
        lines = node.host.run("sluice status --metrics").stdout.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("sluice_service_connections_total{"))

    def settled() -> float:
        """The kernel adds up what its processors have counted every two seconds."""
        before, found = -1.0, counted()
        while found != before:
            time.sleep(2.5)
            before, found = found, counted()
        return found

    before = settled()
    node.ask("tcp", "10.96.0.10", 80, count=30)
    assert settled() == before + 30
