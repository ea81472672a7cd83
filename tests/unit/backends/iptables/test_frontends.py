"""UDP front ends are found in the rules by the ways that packets take."""

from __future__ import annotations

from typing import Any

import pytest
from support import endpoint_slice, rules, service, with_former_names

from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import Frontend
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.frontends import frontends, touches_udp
from sluice.backends.iptables.plan import ChainChange

UDP = [{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}]
SLICE_UDP = [{"name": "dns", "port": 5353, "protocol": "UDP"}]
ENDS = {("10.244.1.1", 5353), ("10.244.1.2", 5353)}


def dns(name: str = "dns", ip: str = "10.96.0.10", **spec: Any) -> list[dict[str, Any]]:
    return [
        service(name, ip=ip, ports=UDP, **spec),
        endpoint_slice(*(address for address, _ in ENDS), of=name, ports=SLICE_UDP),
    ]


@pytest.mark.parametrize("compat", ["1.20", "1.36"])
def test_every_address_of_a_service(compat: str) -> None:
    found = frontends(rules(*dns(type="LoadBalancer", ingress=["192.0.2.1"], externalIPs=["192.0.2.2"]), compat=compat))
    assert found == {
        Frontend("10.96.0.10", 53): ENDS,
        Frontend("192.0.2.1", 53): ENDS,
        Frontend("192.0.2.2", 53): ENDS,
        Frontend("", 30053): ENDS,
    }


def test_tcp_has_none() -> None:
    assert frontends(rules(service(type="NodePort"), endpoint_slice("10.244.1.1"))) == {}
    assert frontends({}) == {}


def test_ipv6() -> None:
    pods = endpoint_slice("fd00:244::1", of="dns", ports=SLICE_UDP, family=IPV6)
    dns6 = service("dns", ip="fd00:96::a", ports=UDP, type="NodePort")
    found = frontends(rules(dns6, pods, family=IPV6, ip_families=[IPV6]))
    ends = {("fd00:244::1", 5353)}
    assert found == {Frontend("fd00:96::a", 53): ends, Frontend("", 30053): ends}


def test_the_tree_of_the_prefix_dispatch_hides_nothing() -> None:
    ports = [{**UDP[0], "nodePort": 0}]
    objects = [each for n in range(1, 30) for each in dns(f"dns{n}", f"10.96.0.{n}")]
    for each in objects[::2]:
        each["spec"]["ports"] = ports
    flat = rules(*objects, family=IPV4)
    tree = rules(*objects, family=IPV4, iptables_dispatch="prefix")
    assert tree != flat
    former = ruleset.parse(with_former_names(ruleset.text(tree)))
    assert len({*tree["nat"]} & {*former["nat"]}) < len(tree["nat"]) == len(former["nat"])
    assert frontends(tree) == frontends(flat) == frontends(former)
    assert len(frontends(tree)) == 29


def test_host_ports() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "shop"},
        "spec": {
            "nodeName": "node1",
            "containers": [{"ports": [{"containerPort": 1, "hostPort": 53, "protocol": "UDP"}]}],
        },
        "status": {"podIP": "10.244.1.1"},
    }
    assert frontends(rules(pod)) == {Frontend("", 53): {("10.244.1.1", 1)}}


def test_chains_that_lead_to_each_other_end() -> None:
    circle = {"KUBE-SERVICES": ["-d 10.0.0.1/32 -p udp -m udp --dport 53 -j A"], "A": ["-j B"], "B": ["-j A"]}
    assert frontends({"nat": circle}) == {Frontend("10.0.0.1", 53): set()}


@pytest.mark.parametrize(
    ("removed", "added", "udp"),
    [
        (("-p udp -j A",), (), True),
        ((), ("-d 10.0.0.1/32 -p udp -j A",), True),
        (("-p tcp -j A",), ("-p tcp -j B",), False),
        ((), ('-m comment --comment "x-p udp " -j A',), False),
        ((), (), False),
    ],
)
def test_changes_that_are_about_udp(removed: tuple[str, ...], added: tuple[str, ...], udp: bool) -> None:
    change = ChainChange("nat", "A", "change", removed, added)
    assert touches_udp([ChainChange("nat", "B", "add", (), ()), change]) == udp
