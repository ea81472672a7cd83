"""IPVS mode where no kube-proxy was recorded: what its documentation and behaviour ask of sets, servers and rules."""

from __future__ import annotations

from typing import Any

import pytest
from support import NODE, endpoint, endpoint_slice, rules, service
from support import ipvs_state as wanted

from sluice.addresses import IPV6
from sluice.backends.ipvs.rules import IpvsState
from sluice.backends.ipvs.text import VirtualAddress

OLD, NEW = {"compat": "1.20"}, {"compat": "1.36"}
BOTH_DIALECTS = pytest.mark.parametrize("dialect", [OLD, NEW], ids=["1.20", "1.36"])
LB: dict[str, Any] = {"type": "LoadBalancer", "ingress": ["192.0.2.1"]}
LOCAL: dict[str, Any] = {"externalTrafficPolicy": "Local"}
NODE_PORT = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
HERE, THERE = "10.244.1.1", "10.244.2.1"
BOTH = endpoint_slice(endpoint(HERE, "node1"), endpoint(THERE, "node2"))
ONLY_THERE = endpoint_slice(endpoint(THERE, "node2"))


def real(found: IpvsState, address: str, port: int = 80, protocol: str = "tcp") -> dict[str, int]:
    """Endpoints and weights of a virtual server."""
    server = found.tables.servers[VirtualAddress(protocol, address, port)]
    return {where: entry.weight for where, entry in server.real.items()}


def members(found: IpvsState, name: str) -> tuple[str, ...]:
    """The members of a set."""
    return found.tables.sets[name].members


def served(protocol: str, *objects: dict[str, Any], **spec: Any) -> tuple[dict[str, Any], ...]:
    """A Service of type NodePort with ``protocol``, and an endpoint on each of two nodes."""
    ports = [{**NODE_PORT[0], "protocol": protocol}]
    both = endpoint_slice(
        endpoint(HERE, "node1"), endpoint(THERE), ports=[{"name": "", "port": 8080, "protocol": protocol}]
    )
    return service(type="NodePort", ports=ports, **spec), both, *objects


# --- endpoints


@BOTH_DIALECTS
def test_policy_local_serves_outside_addresses_from_this_node(dialect: dict[str, Any]) -> None:
    found = wanted(service(ports=NODE_PORT, externalIPs=["198.51.100.1"], **LB, **LOCAL), BOTH, **dialect)
    assert real(found, "10.96.0.1") == {f"{HERE}:8080": 1, f"{THERE}:8080": 1}
    for address, port in (("192.0.2.1", 80), ("198.51.100.1", 80), ("10.0.0.10", 30080)):
        assert real(found, address, port) == {f"{HERE}:8080": 1}


@pytest.mark.parametrize(("dialect", "served_by"), [(OLD, {}), (NEW, {f"{THERE}:8080": 1})], ids=["1.20", "1.36"])
def test_policy_local_without_local_endpoints(dialect: dict[str, Any], served_by: dict[str, int]) -> None:
    found = wanted(service(ports=NODE_PORT, **LB, **LOCAL), ONLY_THERE, **dialect)
    assert real(found, "192.0.2.1") == real(found, "10.0.0.10", 30080) == served_by


def test_internal_policy_local() -> None:
    local = {"internalTrafficPolicy": "Local"}
    assert real(wanted(service(**local), BOTH), "10.96.0.1") == {f"{HERE}:8080": 1}
    assert real(wanted(service(**local), ONLY_THERE), "10.96.0.1") == {}
    # kube-proxy falls back to all where the Service is reached from outside as well (kubernetes#97081).
    outside = service(type="NodePort", ports=NODE_PORT, **local)
    assert real(wanted(outside, ONLY_THERE), "10.96.0.1") == {f"{THERE}:8080": 1}
    found = wanted(outside, BOTH)
    assert real(found, "10.96.0.1") == {f"{HERE}:8080": 1}
    assert real(found, "10.0.0.10", 30080) == {f"{HERE}:8080": 1, f"{THERE}:8080": 1}


@BOTH_DIALECTS
def test_a_service_without_endpoints_keeps_its_server(dialect: dict[str, Any]) -> None:
    found = wanted(service(), **dialect)
    assert real(found, "10.96.0.1") == {}
    assert "10.96.0.1/32" in found.tables.addresses
    assert not any(
        "has no endpoints" in rule for chains in found.rules.values() for held in chains.values() for rule in held
    )


@pytest.mark.parametrize(("dialect", "kept"), [(OLD, (1,)), (NEW, (1, 2, 3))], ids=["1.20", "1.36"])
def test_hairpin_set_holds_the_local_endpoints_that_the_release_keeps(
    dialect: dict[str, Any], kept: tuple[int, ...]
) -> None:
    endpoints = [
        endpoint("10.244.1.1", "node1"),
        endpoint("10.244.1.2", "node1", ready=False, serving=True, terminating=True),
        endpoint("10.244.1.3", "node1", ready=False, serving=False),
        endpoint(THERE, "node2"),
    ]
    found = wanted(service(), endpoint_slice(*endpoints), **dialect)
    assert members(found, "KUBE-LOOP-BACK") == tuple(f"10.244.1.{n},tcp:8080,10.244.1.{n}" for n in kept)
    assert f"{HERE}:8080" in real(found, "10.96.0.1")
    assert "10.244.1.2:8080" not in real(found, "10.96.0.1")


# --- sets


@BOTH_DIALECTS
def test_two_ingress_addresses_and_ranges_that_let_the_node_in(dialect: dict[str, Any]) -> None:
    ranges = ["10.0.0.0/24", "203.0.113.7/32"]
    spec: dict[str, Any] = {"type": "LoadBalancer", "ingress": ["192.0.2.1", "192.0.2.2"]}
    found = wanted(service(loadBalancerSourceRanges=ranges, **spec), BOTH, **dialect)
    vips = tuple(f"192.0.2.{n},tcp:80" for n in (1, 2))
    assert members(found, "KUBE-LOAD-BALANCER") == members(found, "KUBE-LOAD-BALANCER-FW") == vips
    assert members(found, "KUBE-LOAD-BALANCER-SOURCE-CIDR") == tuple(
        f"{vip},{source}" for vip in vips for source in ("10.0.0.0/24", "203.0.113.7")
    )
    assert members(found, "KUBE-LOAD-BALANCER-SOURCE-IP") == (
        "192.0.2.1,tcp:80,192.0.2.1",
        "192.0.2.2,tcp:80,192.0.2.2",
    )
    assert not found.rules["filter"].get("KUBE-IPVS-OUT-FILTER")
    table, chain, last = ("nat", "KUBE-FIREWALL", "-j KUBE-MARK-DROP")
    if dialect == NEW:
        table, chain, last = ("filter", "KUBE-SOURCE-RANGES-FIREWALL", "-j DROP")
    rules = found.rules[table][chain]
    assert ["SOURCE-CIDR" in rules[0], "SOURCE-IP" in rules[1], rules[2:]] == [True, True, [last]]


def test_a_node_outside_the_ranges_does_not_reach_the_address() -> None:
    found = wanted(service(loadBalancerSourceRanges=["203.0.113.0/24"], **LB), BOTH)
    assert found.rules["filter"]["KUBE-IPVS-OUT-FILTER"] == [
        "-s 192.0.2.1/32 -m ipvs --vproto 6 --vaddr 192.0.2.1 --vport 80 -j DROP"
    ]


def test_a_range_of_all_addresses_is_two_halves_in_1_20() -> None:
    found = wanted(service(loadBalancerSourceRanges=["0.0.0.0/0"], **LB), BOTH, **OLD)
    assert members(found, "KUBE-LOAD-BALANCER-SOURCE-CIDR") == (
        "192.0.2.1,tcp:80,0.0.0.0/1",
        "192.0.2.1,tcp:80,128.0.0.0/1",
    )
    assert members(found, "KUBE-LOAD-BALANCER-SOURCE-IP")


def test_a_range_of_all_addresses_is_no_restriction_in_1_36() -> None:
    """kubernetes#132722; one of the other family says nothing about this one."""
    ranged = service(loadBalancerSourceRanges=["203.0.113.0/24", "0.0.0.0/0"], **LB)
    assert wanted(ranged, BOTH) == wanted(service(**LB), BOTH)
    other = wanted(service(loadBalancerSourceRanges=["203.0.113.0/24", "::/0"], **LB), BOTH)
    assert members(other, "KUBE-LOAD-BALANCER-SOURCE-CIDR") == ("192.0.2.1,tcp:80,203.0.113.0/24",)


@BOTH_DIALECTS
def test_node_ports_of_udp_and_sctp(dialect: dict[str, Any]) -> None:
    udp, sctp = (wanted(*served(protocol, **LOCAL), **dialect) for protocol in ("UDP", "SCTP"))
    assert members(udp, "KUBE-NODE-PORT-UDP") == members(udp, "KUBE-NODE-PORT-LOCAL-UDP") == ("30080",)
    own = ("10.0.0.10", "127.0.0.1") if dialect == OLD else ("10.0.0.10",)
    held = tuple(f"{ip},sctp:30080" for ip in own)
    assert members(sctp, "KUBE-NODE-PORT-SCTP-HASH") == members(sctp, "KUBE-NODE-PORT-LOCAL-SCTP-HASH") == held
    assert {frontend.address for frontend in sctp.tables.servers if frontend.port == 30080} == set(own)
    targets = [rule.rpartition(" ")[2] for rule in sctp.rules["nat"]["KUBE-NODE-PORT"]]
    assert targets == (["KUBE-MARK-MASQ", "RETURN"] if dialect == OLD else ["RETURN", "KUBE-MARK-MASQ"])
    assert all(" dst,dst -j" in rule for rule in sctp.rules["nat"]["KUBE-NODE-PORT"])
    assert [rule.rpartition(" ")[2] for rule in udp.rules["nat"]["KUBE-NODE-PORT"]] == ["RETURN", "KUBE-MARK-MASQ"]


@BOTH_DIALECTS
def test_ipv6(dialect: dict[str, Any]) -> None:
    slices = endpoint_slice(endpoint("fd00:244::1", "node1"), family=IPV6)
    ranged: dict[str, Any] = {"type": "LoadBalancer", "ingress": ["2001:db8::1"], "loadBalancerSourceRanges": ["::/0"]}
    objects = service(ip="fd00:96::1", ports=NODE_PORT, **ranged), slices
    found = wanted(*objects, family=IPV6, ip_families=[IPV6], **dialect)
    assert all(name.startswith("KUBE-6-") and len(name) < 32 for name in found.tables.sets)
    assert members(found, "KUBE-6-LOOP-BACK") == ("fd00:244::1,tcp:8080,fd00:244::1",)
    halves = ("2001:db8::1,tcp:80,::/1", "2001:db8::1,tcp:80,8000::/1")
    assert members(found, "KUBE-6-LOAD-BALANCER-SOURCE-CID") == (halves if dialect == OLD else ())
    own = {"fd00:10::10", "::1"} if dialect == OLD else {"fd00:10::10"}
    assert {frontend.address for frontend in found.tables.servers if frontend.port == 30080} == own
    assert found.tables.addresses == ("fd00:96::1/128", "2001:db8::1/128")


@pytest.mark.parametrize(
    ("variables", "rule"),
    [
        ({"cluster_cidrs": ["10.244.0.0/16"]}, "! -s 10.244.0.0/16 {} -m set --match-set KUBE-CLUSTER-IP dst,dst {}"),
        ({"masquerade_all": True}, "{} -m set --match-set KUBE-CLUSTER-IP dst,dst {}"),
        ({}, "{} -m set --match-set KUBE-CLUSTER-IP src,dst {}"),
    ],
)
def test_masquerading_of_cluster_ips(variables: dict[str, Any], rule: str) -> None:
    comment = '-m comment --comment "Kubernetes service cluster ip + port for masquerade purpose"'
    rules = wanted(service(), BOTH, **variables).rules["nat"]["KUBE-SERVICES"]
    assert rules[:2] == ["-s 127.0.0.0/8 -j RETURN", rule.format(comment, "-j KUBE-MARK-MASQ")]


# --- addresses


@pytest.mark.parametrize(("dialect", "own"), [(OLD, ("10.0.0.10/32",)), (NEW, ())], ids=["1.20", "1.36"])
def test_an_address_of_the_node_is_served_and_no_longer_bound(dialect: dict[str, Any], own: tuple[str, ...]) -> None:
    """kubernetes#115019"""
    found = wanted(service(externalIPs=["10.0.0.10"]), BOTH, **dialect)
    assert found.tables.addresses == ("10.96.0.1/32", *own)
    assert real(found, "10.0.0.10") == {f"{HERE}:8080": 1, f"{THERE}:8080": 1}
    assert members(found, "KUBE-EXTERNAL-IP") == ("10.0.0.10,tcp:80",)


def test_node_ports_stay_off_link_local_and_loopback_addresses() -> None:
    own = [*NODE["sluice_node_addresses"], "fe80::1", "169.254.20.10"]
    found = wanted(*served("TCP"), node_addresses=own)
    assert {frontend.address for frontend in found.tables.servers if frontend.port == 30080} == {
        "10.0.0.10",
        "169.254.20.10",
    }


def test_no_node_address_serves_node_ports() -> None:
    found = wanted(*served("TCP"), nodeport_addresses=["172.16.0.0/12"])
    assert members(found, "KUBE-NODE-PORT-TCP") == ()
    assert list(found.tables.servers) == [VirtualAddress("tcp", "10.96.0.1", 80)]


def test_guard_of_1_36_is_offered_to_1_20() -> None:
    plain, guarded = (wanted(service(), BOTH, guard=guard, **OLD) for guard in (False, True))
    assert "KUBE-IPVS-FILTER" not in plain.rules["filter"]
    newer = wanted(service(), BOTH, **NEW)
    assert guarded.rules["filter"]["KUBE-IPVS-FILTER"] == newer.rules["filter"]["KUBE-IPVS-FILTER"]
    assert guarded.rules["filter"]["INPUT"][0] == newer.rules["filter"]["INPUT"][0]
    assert members(guarded, "KUBE-IPVS-IPS") == members(newer, "KUBE-IPVS-IPS") == ("10.96.0.1",)
    assert guarded.rules["nat"] == plain.rules["nat"]
    assert wanted(service(), BOTH, guard=True, **NEW) == newer


@BOTH_DIALECTS
def test_guard_never_keeps_others_from_an_address_of_the_node(dialect: dict[str, Any]) -> None:
    """kubernetes#117613: it would refuse ssh."""
    found = wanted(service(externalIPs=["10.0.0.10"]), BOTH, guard=True, **dialect)
    assert members(found, "KUBE-IPVS-IPS") == ("10.96.0.1",)


def test_what_a_kubelet_would_do_is_done() -> None:
    """Up to 1.20 the firewall only marks; without a kubelet nobody would drop."""
    rules = wanted(service(), BOTH, **OLD).rules
    assert rules["nat"]["KUBE-MARK-DROP"] == ["-j MARK --set-xmark 0x8000/0x8000"]
    assert rules["filter"]["INPUT"] == rules["filter"]["OUTPUT"] == ["-j SLUICE-FIREWALL"]
    assert "--mark 0x8000/0x8000 -j DROP" in rules["filter"]["SLUICE-FIREWALL"][0]
    assert "block incoming localnet" in rules["filter"]["SLUICE-FIREWALL"][1]


# --- how a Service is balanced


def balanced(annotations: dict[str, str], **variables: Any) -> str:
    """The options of the virtual server of a Service with ``annotations``."""
    said = {f"sluice.io/{key}": value for key, value in annotations.items()}
    found = wanted(service(annotations=said), BOTH, **variables)
    return found.tables.servers[VirtualAddress("tcp", "10.96.0.1", 80)].options


def test_scheduler_of_node_and_service() -> None:
    assert balanced({}) == "-s rr"
    assert balanced({}, ipvs_scheduler="wlc") == "-s wlc"
    assert balanced({"scheduler": "sh"}, ipvs_scheduler="wlc") == "-s sh"
    assert balanced({"scheduler": "sh", "scheduler-flags": "sh-port, sh-fallback"}) == "-s sh -b sh-fallback,sh-port"


def test_mh_hashes_the_port_as_kube_proxy_has_it_since_1_36_unless_told_otherwise() -> None:
    assert balanced({}, ipvs_scheduler="mh", **NEW) == "-s mh -b mh-port"
    assert balanced({}, ipvs_scheduler="mh", **OLD) == "-s mh"
    assert balanced({"scheduler-flags": ""}, ipvs_scheduler="mh", **NEW) == "-s mh"
    assert balanced({"scheduler-flags": "mh-fallback"}, ipvs_scheduler="mh", **NEW) == "-s mh -b mh-fallback"


def test_persistence() -> None:
    affinity = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}}}
    found = wanted(service(ports=NODE_PORT, **LB, **affinity), BOTH)
    assert {server.options for server in found.tables.servers.values()} == {"-s rr -p 600"}


def test_weights() -> None:
    said = {"annotations": {"sluice.io/weight": f"3, {THERE}=7"}}
    assert real(wanted(service(**said), BOTH), "10.96.0.1") == {f"{HERE}:8080": 3, f"{THERE}:8080": 7}
    off = {"annotations": {"sluice.io/weight": f"{THERE}=0"}}
    assert real(wanted(service(**off), BOTH), "10.96.0.1") == {f"{HERE}:8080": 1, f"{THERE}:8080": 0}


def test_weights_of_a_slice() -> None:
    piece = {**BOTH, "metadata": {**BOTH["metadata"], "annotations": {"sluice.io/weight": "5"}}}
    assert real(wanted(service(), piece), "10.96.0.1") == {f"{HERE}:8080": 5, f"{THERE}:8080": 5}
    said = {"annotations": {"sluice.io/weight": f"3, {THERE}=7"}}
    assert real(wanted(service(**said), piece), "10.96.0.1") == {f"{HERE}:8080": 5, f"{THERE}:8080": 7}


@BOTH_DIALECTS
def test_health_checks_pass_by_conntrack(dialect: dict[str, Any]) -> None:
    """By the rules of the iptables backend."""
    found = wanted(health=True, **dialect).rules
    assert found["raw"] == rules(health=True, **dialect)["raw"]
    assert found["filter"]["SLUICE-ANSWERS"]
    assert "raw" not in wanted(**dialect).rules
