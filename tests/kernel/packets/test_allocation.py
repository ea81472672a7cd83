"""A tutorial's Service, not one line added, is served at the addresses that it was given: with real packets."""

from __future__ import annotations

from pathlib import Path

import cases
import hosts
import load
import pytest
import support

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.catalogue import allocations_file, sources
from sluice.pools import Pool

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
NODE = {"ip_families": [IPV4, IPV6]}
HOST = {"name": "pods", "labels": {"app": "eureka-server"}, "endpoint_ip": [cases.PODS[0], cases.mapped(cases.PODS[0])]}
POOL = {"name": "public", "addresses": ["203.0.113.0/28", "2001:db8:7::/120"]}
BALANCER = support.service(
    "door",
    ip="",
    type="LoadBalancer",
    ipFamilyPolicy="RequireDualStack",
    selector=HOST["labels"],
    ports=[{"port": 80, "protocol": "UDP", "targetPort": 8762}],
)


@pytest.mark.parametrize("compat", ["1.18", "1.20", "1.36"])
def test_what_is_given_is_served(network: load.Network, variant: str, compat: str) -> None:
    own = support.node(**NODE, iptables_variant=variant, compat=compat, load_balancer_pools=[POOL])
    assert own.load_balancer_pools == (Pool("public", ("203.0.113.0/28", "2001:db8:7::/120")),)
    read = sources.read([str(MANIFESTS / "eureka.yaml")], [BALANCER])
    checks = render.checks_for([own])
    built = sources.built(read, [HOST], checks)
    again = sources.built(read, [HOST], checks, allocations_file.read(built.allocated.text, "allocations.yml"))
    assert again.catalogue == built.catalogue
    network.node.apply(support.rendered(built.catalogue, own))
    network.pods.start(lambda: load.serve([(8761, "TCP"), (8762, "UDP")]))
    hosts.wait_for(lambda: ":8762 " in network.pods.run("ss", "-Hlnu").stdout, "the endpoint does not listen")
    door, eureka = built.catalogue.services
    (number,) = (port.node_port for port in eureka.ports)
    assert network.ask(eureka.cluster_ips[0], 8761) == f"{cases.PODS[0]} 8761"
    assert network.ask(cases.NODE_ADDRESS, number) == f"{cases.PODS[0]} 8761"
    both = [f"{address} 8762" for address in HOST["endpoint_ip"]]
    assert [network.ask(address, 80, "UDP") for address in door.cluster_ips] == both
    assert [network.ask(entry.address, 80, "UDP") for entry in door.ingress] == both
    own_addresses = (cases.NODE_ADDRESS, cases.mapped(cases.NODE_ADDRESS))
    assert [network.ask(address, door.ports[0].node_port, "UDP") for address in own_addresses] == both
