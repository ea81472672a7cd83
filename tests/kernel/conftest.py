"""What the tests against the kernel share: nodes, and a small network around one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cases
import hosts
import load

from sluice.iptables_kernel import VARIANTS


@pytest.fixture
def node(needs_root: None) -> Iterator[hosts.Node]:
    """A node without a network."""
    with hosts.Node("node") as found:
        yield found


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """Both variants of iptables, one after the other."""
    return str(request.param)


@pytest.fixture
def network(node: hosts.Node) -> Iterator[load.Network]:
    """The node between a client and a host that has the addresses of all endpoints."""
    with hosts.Host("client") as client, hosts.Host("pods") as pods:
        client_uplink = f"link add eth0 type veth peer name client netns {node.pid}"
        pods_uplink = f"link add eth0 type veth peer name pods netns {node.pid}"
        client.ip(client_uplink, f"address add {cases.CLIENT_ADDRESS}/24 dev eth0", "link set eth0 up")
        pods.ip(pods_uplink, *(f"address add {pod}/24 dev eth0" for pod in cases.PODS), "link set eth0 up")
        node.ip(
            f"address add {cases.NODE_ADDRESS}/24 dev client",
            "address add 10.1.0.1/24 dev pods",
            "link set client up",
            "link set pods up",
            # As by a default route: what nobody translates goes somewhere, and is not answered.
            "neighbour add 10.1.0.250 lladdr 02:00:00:00:00:99 dev pods",
            "route add 10.96.0.0/16 via 10.1.0.250",
        )
        client.ip(f"route add default via {cases.NODE_ADDRESS}")
        pods.ip("route add default via 10.1.0.1")
        yield load.Network(node, client, pods)
