"""Host ports of Pods leave loopback to the node's own daemons, and serve it where they name it: with real packets."""

from __future__ import annotations

import selectors
import socket
from typing import Any

import cases
import hosts
import load
import pytest
import support

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.system import linux

POD = cases.PODS[0]
PORTS = ((53, "UDP", ""), (8088, "TCP", ""), (8089, "TCP", "127.0.0.1"), (8090, "UDP", "127.0.0.1"))
"""Host port, protocol, hostIP."""

ROUTE_LOCALNET = "net.ipv4.conf.all.route_localnet"


def pod(*ports: tuple[int, str, str]) -> dict[str, Any]:
    """A Pod of the node that is asked at its own ports by the same numbers."""
    declared = [{"containerPort": port, "hostPort": port, "protocol": kind, "hostIP": ip} for port, kind, ip in ports]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "dns", "namespace": "infra", "uid": "6b1f1c0a"},
        "spec": {"nodeName": "node1", "containers": [{"ports": declared}]},
        "status": {"podIP": POD, "podIPs": [{"ip": POD}, {"ip": cases.mapped(POD)}]},
    }


def put(node: hosts.Node, variant: str, *objects: dict[str, Any], **variables: Any) -> None:
    """Give the node the rules, on a kernel that routes nothing of loopback unless they need it."""
    own = support.node(ip_families=[IPV4, IPV6], iptables_variant=variant, **variables)
    found = support.catalogue(*objects)
    needed = render.needs(render.views(found, own), own, (6, 1)).sysctls
    node.call(lambda: linux.set_sysctl(ROUTE_LOCALNET, needed.get(ROUTE_LOCALNET, "0")))
    node.run("sysctl", "-qw", "net.ipv4.conf.pods.route_localnet=0", "net.ipv4.conf.client.route_localnet=0")
    files = support.rendered(found, own)
    if own.backend == "iptables":
        node.apply(files)
        return
    # Their rules hold also in a kernel without IPVS, which takes part in none of this.
    node.run("ipset", "restore", text=files["ipset.conf"])
    node.run(f"iptables-{variant}-restore", text=files["iptables.rules"])
    node.run(f"ip6tables-{variant}-restore", text=files["ip6tables.rules"])


def daemon(*places: tuple[str, int]) -> None:
    """A daemon of the node that answers datagrams at its addresses, until it is killed."""
    selector = selectors.DefaultSelector()
    for address, port in places:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((address, port))
        selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            asked: Any = key.fileobj
            _, peer = asked.recvfrom(100)
            asked.sendto(b"daemon\n", peer)


@pytest.fixture
def served(network: load.Network) -> load.Network:
    """The Pod listens, and so does the node's resolver."""
    network.pods.start(lambda: load.serve([(port, protocol) for port, protocol, _ in PORTS]))
    network.node.start(lambda: daemon(("127.0.0.53", 53), ("::1", 53)))
    hosts.wait_for(lambda: ":8090 " in network.pods.run("ss", "-Hlnu").stdout, "the Pod does not listen")
    hosts.wait_for(lambda: "[::1]:53 " in network.node.run("ss", "-Hlnu").stdout, "the resolver does not listen")
    return network


def ask(host: hosts.Host, address: str, port: int, protocol: str = "TCP") -> str:
    return host.call(lambda: load.ask(address, port, protocol))


@pytest.mark.parametrize("backend", ["iptables", "ipvs"])
@pytest.mark.parametrize("compat", ["1.18", "1.20", "1.36"])
def test_loopback_is_the_node_s_own(served: load.Network, variant: str, backend: str, compat: str) -> None:
    node, client = served.node, served.client
    put(node, variant, pod(*PORTS), backend=backend, compat=compat, localhost_nodeports=False)
    for host in (client, node):
        assert ask(host, cases.NODE_ADDRESS, 53, "UDP") == f"{POD} 53"
        assert ask(host, cases.mapped(cases.NODE_ADDRESS), 53, "UDP") == f"{cases.mapped(POD)} 53"
        assert ask(host, cases.NODE_ADDRESS, 8088) == f"{POD} 8088"
    assert ask(node, "127.0.0.53", 53, "UDP") == ask(node, "::1", 53, "UDP") == "daemon"
    assert ask(node, "127.0.0.1", 53, "UDP") == "ECONNREFUSED"
    assert ask(node, "127.0.0.1", 8088) == ask(node, "::1", 8088) == "ECONNREFUSED"
    assert ask(node, "127.0.0.1", 8089) == f"{POD} 8089"
    assert ask(node, "127.0.0.1", 8090, "UDP") == f"{POD} 8090"
    for host, address in ((node, "127.0.0.2"), (node, cases.NODE_ADDRESS), (client, cases.NODE_ADDRESS)):
        assert ask(host, address, 8089) == "ECONNREFUSED"


@pytest.mark.parametrize("backend", ["iptables", "ipvs"])
def test_neighbours_do_not_reach_loopback(served: load.Network, variant: str, backend: str) -> None:
    """What routes loopback for the node's own clients opens nothing to others (CVE-2020-8558)."""
    node, client = served.node, served.client
    put(node, variant, pod(*PORTS), backend=backend, localhost_nodeports=False)
    client.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    client.ip(
        "route del local 127.0.0.0/8 dev lo table local",
        "route del local 127.0.0.1 dev lo table local",
        f"route add 127.0.0.0/8 via {cases.NODE_ADDRESS} src {cases.CLIENT_ADDRESS}",
    )

    def dropped() -> bool:
        """Whether the rule that guards loopback has counted both."""
        listed = node.run(f"iptables-{variant}-save", "-c", "-t", "filter").stdout
        return any(line.startswith("[2:") for line in listed.splitlines() if "block incoming localnet" in line)

    for address, port in (("127.0.0.1", 8090), ("127.0.0.53", 53)):
        client.call(lambda address=address, port=port: load.ask(address, port, "UDP", timeout=0.01))
    hosts.wait_for(dropped, "no rule keeps neighbours from the node's loopback")


def test_a_host_port_on_ipv6_loopback_is_refused_at_once(served: load.Network, variant: str) -> None:
    """Linux takes no answer from another host to ::1: nothing is rewritten that could only hang."""
    put(served.node, variant, pod((8090, "UDP", "::1"), (8088, "TCP", "")))
    assert ask(served.node, "::1", 8090, "UDP") == "ECONNREFUSED"
    assert ask(served.node, cases.NODE_ADDRESS, 8088) == f"{POD} 8088"
