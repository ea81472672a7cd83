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

from sluice.backends.iptables.kernel import VARIANTS


@pytest.fixture
def node(needs_root: None) -> Iterator[hosts.Node]:
    """A node without a network."""
    with hosts.Node("node") as found:
        yield found


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """Both variants of iptables, one after the other."""
    return str(request.param)


ROUTER, NOBODY = "10.1.0.1", "10.1.0.250"
"""In the network of endpoints: the node, and an address that no host has."""


def addresses(device: str, *wanted: str) -> list[str]:
    """Lines of ip(8) that give a device, one that is up, addresses of both families.

    Up before: the first second of an IPv6 address that waited for its device is lost.
    """
    four = [f"address add {address}/24 dev {device}" for address in wanted]
    return four + [f"address add {cases.mapped(address)}/112 dev {device} nodad" for address in wanted]


@pytest.fixture
def network(node: hosts.Node) -> Iterator[load.Network]:
    """The node between a client and a host that has the addresses of all endpoints."""
    with hosts.Host("client") as client, hosts.Host("pods") as pods:
        client_uplink = f"link add eth0 type veth peer name client netns {node.pid}"
        pods_uplink = f"link add eth0 type veth peer name pods netns {node.pid}"
        client.ip(client_uplink, "link set eth0 up", *addresses("eth0", cases.CLIENT_ADDRESS))
        pods.ip(pods_uplink, "link set eth0 up", *addresses("eth0", *cases.PODS))
        node.ip(
            "link set client up",
            "link set pods up",
            *addresses("client", cases.NODE_ADDRESS),
            *addresses("pods", ROUTER),
            # As by a default route: what nobody translates goes somewhere, and is not answered.
            *(f"neighbour add {way} lladdr 02:00:00:00:00:99 dev pods" for way in (NOBODY, cases.mapped(NOBODY))),
            f"route add 10.96.0.0/16 via {NOBODY}",
            f"route add {cases.mapped('10.96.0.0')}/96 via {cases.mapped(NOBODY)}",
        )
        for host, way in ((client, cases.NODE_ADDRESS), (pods, ROUTER)):
            host.ip(f"route add default via {way}", f"route add ::/0 via {cases.mapped(way)}")
        yield load.Network(node, client, pods)
