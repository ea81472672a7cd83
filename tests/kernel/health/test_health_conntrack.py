"""Checks pass by conntrack, and a firewall that asks it makes no endpoint look dead: with real packets."""

from __future__ import annotations

import json
import re

import hosts
import load
import pytest
from watched import ALL, OTHER, WEB, A, Watched, contents

from sluice import notrack
from sluice.node import outage

RANGE = f"{notrack.FIRST}-{notrack.LAST}"


@pytest.fixture
def node_variant(plane: str) -> str:
    """The variant of iptables that others use on the node."""
    return "legacy" if plane == "legacy" else "nft"


def entries(network: load.Network) -> list[str]:
    """What conntrack knows of connections from the node to endpoints: their source ports."""
    listed = network.node.run("conntrack", "-L", "-p", "tcp", "--orig-src", load.ROUTER).stdout
    return re.findall(r" sport=(\d+) dport=80\d\d ", listed)


def told(watched: Watched) -> str:
    """What `sluice health` says of conntrack."""
    done = watched.node.sluice("health", "--json", check=False)
    return str(json.loads(done.stdout)["conntrack"]) if done.stdout else ""


def rounds(watched: Watched) -> None:
    """Wait until all endpoints were asked several times: one that nobody asks yet is found down after three."""
    watched.cut(A)
    watched.wait_until(A)
    watched.cut()
    watched.wait_until()


@pytest.fixture
def watched(network: load.Network, plane: str) -> Watched:
    network.serve(ALL)
    network.node.apply(contents(plane, *ALL))
    return Watched(network, plane)


def test_conntrack_sees_no_check(watched: Watched, plane: str) -> None:
    watched.wait_until()
    assert entries(watched.network) == []
    assert told(watched) == ""
    watched.node.apply(contents(plane, *ALL, health_notrack=False))
    hosts.wait_for(lambda: entries(watched.network), "checks that are tracked are not to be seen: can this test fail?")
    watched.node.apply(contents(plane, *ALL))
    watched.node.run("conntrack", "-D", "-p", "tcp", "--orig-src", load.ROUTER)
    rounds(watched)
    # What decided that A is down was tracked, and how it came back, and nothing else.
    assert all(int(port) not in range(notrack.FIRST, notrack.LAST + 1) for port in entries(watched.network))


def test_a_firewall_in_iptables_lets_the_answers_in(watched: Watched, node_variant: str) -> None:
    node, tool = watched.node, f"iptables-{node_variant}"
    node.run(tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
    node.run(tool, "-A", "INPUT", "-j", "DROP")
    watched.wait_until()
    if watched.plane != "nftables":  # there no rule of ours can come before it
        assert entries(watched.network) == []
        assert told(watched) == ""


def test_a_firewall_that_no_rule_of_ours_comes_before(watched: Watched) -> None:
    """Nothing is taken for dead when it comes, nor afterwards, nor by a checker that begins then; and it is said."""
    watched.wait_until()
    node, network = watched.node, watched.network
    since = [row["since"] for row in rows(watched)]
    node.run(
        "nft",
        "add table inet host; add chain inet host input { type filter hook input priority 0; policy drop; }; "
        "add rule inet host input iif lo accept; add rule inet host input ct state established accept",
    )
    hosts.wait_for(lambda: told(watched), "nobody says that a firewall drops answers")
    rounds_of_others(watched)
    assert f"ports {RANGE}" in told(watched)
    assert [row["since"] for row in rows(watched)] == since
    watched.checker.kill()
    watched.checker = node.command("health", "--check")
    rounds_of_others(watched)
    assert {row["state"] for row in rows(watched)} == {"up"}
    # What is really dead is found, and that it is back.
    watched.cut(A)
    watched.wait_until(A)
    watched.cut()
    watched.wait_until()
    assert network.node.call(lambda: outage.current().down) == frozenset()


def rows(watched: Watched) -> list[dict[str, object]]:
    return list(json.loads(watched.node.sluice("health", "--json").stdout)["checks"])


def rounds_of_others(watched: Watched) -> None:
    """Wait until each endpoint has answered a tracked check: then conntrack knows all of them."""

    def known() -> bool:
        listed = watched.node.run("conntrack", "-L", "-p", "tcp", "--orig-src", load.ROUTER).stdout
        found = set(re.findall(r" dst=(\S+) sport=\d+ dport=(\d+) ", listed))
        return {(row["address"], str(row["port"])) for row in rows(watched)} <= found

    watched.node.run("conntrack", "-D", "-p", "tcp", "--orig-src", load.ROUTER, check=False)
    hosts.wait_for(known, "not all endpoints are asked with conntrack")


def test_connections_of_others_with_these_ports(watched: Watched, plane: str, node_variant: str) -> None:
    """Clients may have them, and so may what the node sends on with its own address: conntrack is to see those."""
    watched.wait_until()
    network = watched.network
    for port in (notrack.FIRST, notrack.LAST):
        assert network.ask(WEB.address, 80, source_port=port).split()[0] in WEB.endpoints
        assert network.ask(A, WEB.target_port, source_port=port) == f"{A} {WEB.target_port}"
    snat = ("-s", "10.0.0.0/24", "-p", "tcp", "-j", "SNAT", "--to-source", f"{load.ROUTER}:{RANGE}")
    network.node.run(f"iptables-{node_variant}", "-t", "nat", "-I", "POSTROUTING", *snat)
    for _request in range(20):
        assert network.ask(A, WEB.target_port) == f"{A} {WEB.target_port}"
    assert network.ask(OTHER.address, 80).split()[0] in OTHER.endpoints


def test_a_range_that_the_node_gives_away(watched: Watched, plane: str) -> None:
    watched.wait_until()
    watched.node.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535")
    watched.node.apply(contents(plane, *ALL, health_check={"tcpSocket": {}, "periodSeconds": 1}))
    hosts.wait_for(lambda: "ip_local_reserved_ports" in told(watched), "nobody says that the ports are not free")
    hosts.wait_for(lambda: entries(watched.network), "checks are not tracked")
