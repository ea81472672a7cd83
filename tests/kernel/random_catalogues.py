"""Random catalogues with a Service of each kind, the node's settings, and all that clients may ask of them."""

from __future__ import annotations

import random
from typing import Any

import support
from crossing import CLIENTS, HOST_PORT, NODE, PODS, PORT, Request

from sluice.addresses import IPV4
from sluice.catalogue.model import Catalogue
from sluice.settings import Settings

TIMES, OF_STICKY = 24, 6
"""How often each is asked, and those with session affinity."""


def settings(source: random.Random, family: str) -> Settings:
    """Of a node of that family, with addresses of both."""
    pods = "10.1.0.0/24" if family == IPV4 else "fd00:1::/64"
    named = [[], [], [f"{NODE[family][0]}/{'24' if family == IPV4 else '64'}"]]
    named += [[f"{NODE[family][1]}/24", "127.0.0.0/8"]] if family == IPV4 else []
    return support.node(
        node_addresses=["127.0.0.1", "::1", *NODE[IPV4], *NODE["IPv6"]],
        node_ips=[NODE[IPV4][0], NODE["IPv6"][0]],
        ip_families=[family],
        cluster_cidrs=source.choice([[pods], [pods], []]),
        masquerade_all=source.random() < 0.2,
        localhost_nodeports=source.random() < 0.7,
        nodeport_addresses=source.choice(named),
    )


def services(source: random.Random, family: str, count: int = 10) -> list[list[dict[str, Any]]]:
    """Each a Service and what belongs to it."""
    return [_service(source, family, number) for number in range(1, count + 1)]


def _service(source: random.Random, family: str, number: int) -> list[dict[str, Any]]:
    """A Service of a random kind, with some endpoints here and some elsewhere."""
    four = family == IPV4
    name, protocol = f"s{number}", source.choice(["TCP", "TCP", "UDP"])
    spec: dict[str, Any] = {"type": source.choice(["ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"])}
    port = {"port": 80, "targetPort": PORT, "protocol": protocol}
    if spec["type"] != "ClusterIP":
        port["nodePort"] = 30000 + number
    if spec["type"] == "LoadBalancer":
        spec["ingress"] = [f"203.0.113.{number}" if four else f"2001:db8::{number:x}"]
        if source.random() < 0.5:
            networks = ["192.0.2.2/32", "198.51.100.0/25", "10.1.0.0/30", "192.0.2.0/24", "10.1.0.12/32"]
            networks = networks if four else ["fd00:c::/64", "fd00:d::/112", "fd00:1::12/128", "fd00:c::2/128"]
            spec["loadBalancerSourceRanges"] = source.sample(networks, 2)
    if source.random() < 0.3:
        spec["externalIPs"] = [f"203.0.113.{100 + number}" if four else f"2001:db8::1:{number:x}"]
    if source.random() < 0.5 and (spec["type"] != "ClusterIP" or "externalIPs" in spec):
        spec["externalTrafficPolicy"] = "Local"
    if source.random() < 0.25:
        spec["internalTrafficPolicy"] = "Local"
    if source.random() < 0.3:
        spec["sessionAffinity"] = "ClientIP"
    there = source.sample([*PODS[family], NODE[family][0]], source.choice([0, 1, 2, 3, 3, 4]))
    endpoints = [_endpoint(source, address) for address in there]
    behind = [{"name": "", "port": PORT, "protocol": protocol}]
    address = f"10.96.0.{number}" if four else f"fd00:96::{number:x}"
    return [
        support.service(name, ip=address, ports=[port], **spec),
        support.endpoint_slice(*endpoints, of=name, ports=behind, family=family),
    ]


def _endpoint(source: random.Random, address: str) -> dict[str, Any]:
    """Most are ready; some end, and may serve meanwhile."""
    state = {} if source.random() < 0.8 else {"ready": False, "serving": source.random() < 0.7, "terminating": True}
    return support.endpoint(address, node=source.choice(["node1", "node2", "node2"]), **state)


def pod(source: random.Random, family: str) -> dict[str, Any]:
    """One that has a host port."""
    port = {"containerPort": PORT, "hostPort": HOST_PORT, "hostIP": source.choice(["", NODE[family][1]])}
    address = PODS[family][1]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "shop", "uid": "1"},
        "spec": {"nodeName": "node1", "containers": [{"ports": [port]}]},
        "status": {"podIP": address, "podIPs": [{"ip": address}]},
    }


def requests(catalogue: Catalogue, family: str) -> list[Request]:
    """Of each client, for each way into each Service, and some for what is none."""
    askers = [*(("client", address) for address in CLIENTS[family]), ("pod1", ""), ("pod2", ""), ("node", "")]
    found = []
    for service in catalogue.services:
        (port,) = service.ports
        times = OF_STICKY if service.affinity_seconds else TIMES
        addresses = [*service.cluster_ips, *service.external_ips, *(entry.address for entry in service.ingress)]
        ways = [(address, 80) for address in addresses]
        ways += [(address, port.node_port) for address in NODE[family] if port.node_port]
        protocol = port.protocol.lower()
        found += [Request(*asker, protocol, *way, times) for asker in askers for way in ways]
        if port.node_port:
            loopback = "127.0.0.1" if family == IPV4 else "::1"
            found.append(Request("node", "", protocol, loopback, port.node_port, times))
    nobody = catalogue.services[0].cluster_ips[0]
    others = [*((address, HOST_PORT) for address in NODE[family]), (nobody, 81)]
    return found + [Request(*asker, "tcp", *way, 3) for asker in askers for way in others]
