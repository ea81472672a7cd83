"""Virtual servers that differ among themselves, and IP sets that do not fit them."""

from __future__ import annotations

import pytest
from planted import odd, recorded, said, spoilt, without

LB, LOCAL, RANGES = "16-loadbalancer", "20-loadbalancer-local", "18-loadbalancer-sourceranges"


def _said(case: str, suffix: str, pattern: str, new: str = "", version: str = "1.36") -> str:
    held = recorded(case, "ipvs", version)
    return said(*{**held, suffix: spoilt(held[suffix], pattern, new)}.values())


SETS = [
    (RANGES, "add KUBE-LOAD-BALANCER-FW", "", "! fence of an address that is in no KUBE-LOAD-BALANCER-FW"),
    (RANGES, "add KUBE-LOAD-BALANCER ", "", "! fenced address that is in no KUBE-LOAD-BALANCER"),
    (LOCAL, "add KUBE-LOAD-BALANCER-LOCAL", "", "! addresses of one Service with two traffic policies"),
    (LOCAL, "add KUBE-LOAD-BALANCER ", "", "- address of policy Local that is in no set of all addresses"),
    (LOCAL, "add KUBE-NODE-PORT-LOCAL-TCP", "", "! addresses of one Service with two traffic policies"),
    (LB, "(add KUBE-NODE-PORT-TCP) 30080", r"\1 30099", "! node port in an IP set without a virtual server"),
    (LB, "add KUBE-IPVS-IPS 10.96", "", "- address of a Service that is not in KUBE-IPVS-IPS"),
    (LB, "(add KUBE-IPVS-IPS) 10.96.0.50", r"\1 10.96.0.99", "! address in KUBE-IPVS-IPS without a virtual server"),
    (LOCAL, "add KUBE-LOOP-BACK", "", "! endpoint of this node that is not in KUBE-LOOP-BACK"),
    (LOCAL, "(add KUBE-LOOP-BACK .*),.*", r"\1,192.0.2.9", "! hairpin of two addresses in KUBE-LOOP-BACK"),
    (LOCAL, "(add KUBE-LOOP-BACK .*):8080", r"\1:9", "- endpoint in KUBE-LOOP-BACK that is no real server"),
    (LB, "(create KUBE-CLUSTER-IP) hash:ip,port", r"\1 hash:ip", "! IP set of the wrong type"),
    (LB, "(add KUBE-CLUSTER-IP .*)tcp", r"\1udp", "! address in an IP set without a virtual server"),
]


@pytest.mark.parametrize(("case", "pattern", "new", "what"), SETS)
def test_sets(case: str, pattern: str, new: str, what: str) -> None:
    assert what in _said(case, ".ipset", pattern, new)


def test_fence_that_lets_nobody_in() -> None:
    held = recorded(RANGES, "ipvs")
    held[".ipset"] = without(held[".ipset"], "add KUBE-LOAD-BALANCER-SOURCE-CIDR")
    assert "! fence that lets nobody in" in said(*held.values())


@pytest.mark.parametrize("version", ["1.20", "1.36"])
@pytest.mark.parametrize("address", ["198.51.100.9:80", "10.0.0.10:30080"])
def test_address_that_lacks_endpoints(address: str, version: str) -> None:
    found = _said(LB, ".ipvs", f"-a -t {address} ", version=version)
    assert f"! address of a Service that lacks endpoints: ipvs: tcp {address} has 1 of 2" in found


def test_address_of_the_node_without_the_node_port() -> None:
    held = recorded(LB, "ipvs")
    other = "-A -t 10.0.0.10:30099 -s rr\n-a -t 10.0.0.10:30099 -r 10.244.9.9:80 -m -w 1\n"
    held[".ipset"] += "add KUBE-NODE-PORT-TCP 30099\n"
    held[".ipvs"] += other
    assert "! node port that is not at all addresses that others are at: ipvs: 30099/tcp" in said(*held.values())


@pytest.mark.parametrize("options", ["-s wlc", "-s rr -p 600"])
def test_addresses_that_balance_differently(options: str) -> None:
    found = _said(LB, ".ipvs", r"(-A -t 198.51.100.9:80) -s rr", rf"\1 {options}")
    assert "- addresses of one Service that balance differently" in found


@pytest.mark.parametrize("method", ["-g", "-i"])
def test_real_server_that_is_not_reached_by_nat(method: str) -> None:
    found = _said(LB, ".ipvs", r"(-a -t 10.96.0.50:80 .*) -m ", rf"\1 {method} ")
    assert "! real server that is not reached by NAT" in found


def test_virtual_servers_of_others_are_theirs() -> None:
    held = recorded(LB, "ipvs")
    held[".ipvs"] += "-A -t 192.0.2.80:80 -s wlc\n-a -t 192.0.2.80:80 -r 192.0.2.81:80 -g -w 1\n"
    found = odd(*held.values())
    assert not [each for each in found if each.hurts], found


def test_sets_that_were_not_dumped_are_not_missed() -> None:
    held = recorded(LOCAL, "ipvs")
    del held[".ipset"]
    assert not odd(*held.values())
