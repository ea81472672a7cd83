"""Endpoints that are down leave the virtual servers, also after a reboot; the node runs what asks them by itself."""

from __future__ import annotations

import json
import subprocess
import time
import typing

import pytest
from balancer import pods
from conftest import LAB, SCENARIO

if typing.TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Node

GONE, SERVED = "172.33.0.25", "tcp 10.96.0.70:80"
CHECK = {"sluice_health": True, "sluice_health_check": {"tcpSocket": {}, "periodSeconds": 3, "timeoutSeconds": 2}}
PATIENCE = 180.0


def in_pod(*words: str) -> None:
    subprocess.run(["ip", "netns", "exec", f"{LAB}-pod-25", *words], check=True)


def wait_until(what: typing.Callable[[], bool], fault: str) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, fault
        time.sleep(1)


def states(node: Node) -> dict[str, str]:
    done = node.host.run("sluice health --json")
    found = json.loads(done.stdout)["checks"] if done.stdout else ()
    return {f"{row['address']}:{row['port']}": row["state"] for row in found}


def weights(node: Node) -> dict[str, int]:
    """Of the real servers that get new connections."""
    return {server: weight for server, weight in node.virtual_servers()[SERVED].servers.items() if weight}


@pytest.fixture(scope="module", autouse=True)
def _checks(node: Node) -> Iterator[None]:
    done = node.play("site", **CHECK)
    assert done.returncode == 0, done.stdout
    again = node.play("site", **CHECK)
    assert " changed=0 " in again.stdout, again.stdout
    yield
    in_pod("iptables-nft", "-F", "INPUT")
    done = node.play("site")
    assert done.returncode == 0, done.stdout


def test_a_dead_endpoint_gets_no_new_connection_and_comes_back(node: Node) -> None:
    wait_until(lambda: set(states(node).values()) == {"up"}, "not all are up")
    before = node.held()
    in_pod("iptables-nft", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
    wait_until(lambda: f"{GONE}:9090" not in weights(node), "it is not taken out")
    assert set(pods(node.ask("tcp", "10.96.0.10", 80, count=20))) == {"pod-11", "pod-30"}
    check = node.play("check", **CHECK)
    assert check.returncode == 0, check.stdout
    assert f"{GONE}:9090 is down" in check.stdout
    in_pod("iptables-nft", "-F", "INPUT")
    wait_until(lambda: node.held() == before, "it does not come back")
    assert node.host.run("sluice diff").stdout == ""


def test_after_a_reboot_it_is_asked_anew(node: Node) -> None:
    in_pod("iptables-nft", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
    wait_until(lambda: f"{GONE}:9090" not in weights(node), "it is not taken out")
    node.host.check_output("sluice drain 172.33.0.30")
    done = node.play("restart", folder=SCENARIO)
    assert done.returncode == 0, done.stdout
    # An operator's word outlives the boot, what checks said does not; then they say it again.
    assert "172.33.0.30:9090" not in weights(node)
    wait_until(lambda: set(weights(node)) == {"172.33.0.11:9090"}, "it is not taken out again")
    node.host.check_output("sluice undrain 172.33.0.30")
    assert set(weights(node)) == {"172.33.0.11:9090", "172.33.0.30:9090"}
