"""The whole rule set where no kube-proxy was recorded: what its documentation and its behaviour ask of it."""

from __future__ import annotations

from typing import Any

import pytest
from iptables_rules import (
    ALL_LOCAL,
    BOTH,
    HERE,
    LAST,
    LB,
    LOCAL,
    NEW,
    NODE_PORT,
    OLD,
    RANGES,
    REJECT,
    THERE,
    balanced,
    chains_of_services,
    of_web,
    shortened,
    web,
)
from support import endpoint, endpoint_slice, rules, service

from sluice.addresses import IPV6


def test_load_balancer_without_any_endpoints() -> None:
    for dialect in (OLD, NEW):
        found = web({**LB, **RANGES, "ports": NODE_PORT}, **dialect)
        why = '"shop/web has no endpoints"'
        assert of_web(found, "filter", "KUBE-SERVICES") == [f"-d 10.96.0.1/32 -p tcp {why} -m tcp --dport 80 {REJECT}"]
        assert sorted(of_web(found, "filter", "KUBE-EXTERNAL-SERVICES")) == [
            f"-d 192.0.2.1/32 -p tcp {why} -m tcp --dport 80 {REJECT}",
            f"-p tcp {why} -m addrtype --dst-type LOCAL -m tcp --dport 30080 {REJECT}",
        ]
        assert not of_web(found, "nat", "KUBE-SERVICES")
        assert not of_web(found, "nat", "KUBE-NODEPORTS")
        assert not chains_of_services(found)
        assert not found["filter"].get("KUBE-PROXY-FIREWALL")


def test_policy_local_of_external_ips_of_a_cluster_ip_service() -> None:
    """Since 1.24 the policy counts for external IPs of any Service, before that for two types only."""
    spec = {"externalIPs": ["192.0.2.7"], **LOCAL}
    old, new = web(spec, BOTH, **OLD), web(spec, BOTH, **NEW)
    to_ip = '-d 192.0.2.7/32 -p tcp "shop/web external IP" -m tcp --dport 80'
    assert of_web(old, "nat", "KUBE-SERVICES")[1:] == [
        f"{to_ip} -j KUBE-MARK-MASQ",
        f"{to_ip} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j KUBE-SVC",
        f"{to_ip} -m addrtype --dst-type LOCAL -j KUBE-SVC",
    ]
    assert "KUBE-XLB" not in old["nat"]
    assert of_web(new, "nat", "KUBE-SERVICES")[1:] == [f"{to_ip} -j KUBE-EXT"]
    assert new["nat"]["KUBE-EXT"][-1] == "-j KUBE-SVL"
    assert new["nat"]["KUBE-SVL"] == [f'"shop/web -> {HERE}:8080" -j KUBE-SEP-{HERE}:8080']


def test_external_ips_without_endpoints() -> None:
    for dialect in (OLD, NEW):
        found = web({"externalIPs": ["192.0.2.7"]}, **dialect)
        assert of_web(found, "filter", "KUBE-EXTERNAL-SERVICES") == [
            f'-d 192.0.2.7/32 -p tcp "shop/web has no endpoints" -m tcp --dport 80 {REJECT}'
        ]


def test_ipv6_only() -> None:
    pods = endpoint_slice(endpoint("fd00:244::1", "node1"), endpoint("fd00:244::2"), family=IPV6)
    objects = [service(ip="fd00:96::1", **LB | {"ingress": ["2001:db8::1"]}, **LOCAL, ports=NODE_PORT), pods]
    ends = ("[fd00:244::1]:8080", "[fd00:244::2]:8080")
    variables = {"family": IPV6, "ip_families": [IPV6], "cluster_cidrs": ["10.244.0.0/16", "fd00:244::/64"]}
    found = shortened(rules(*objects, **variables), ends=ends)["nat"]
    assert found["KUBE-SERVICES"] == [
        '-d fd00:96::1/128 -p tcp "shop/web cluster IP" -m tcp --dport 80 -j KUBE-SVC',
        '-d 2001:db8::1/128 -p tcp "shop/web loadbalancer IP" -m tcp --dport 80 -j KUBE-EXT',
        f"! -d ::1/128 {LAST} {ALL_LOCAL}",
    ]
    assert found["KUBE-SEP-[fd00:244::1]:8080"] == [
        '-s fd00:244::1/128 "shop/web" -j KUBE-MARK-MASQ',
        '-p tcp "shop/web" -m tcp -j DNAT --to-destination [fd00:244::1]:8080',
    ]
    assert found["KUBE-SVC"][0].startswith("! -s fd00:244::/64 -d fd00:96::1/128")
    old = shortened(rules(*objects, **variables, **OLD), ends=ends)["nat"]
    assert old["KUBE-NODEPORTS"][0] == '-s ::1/128 -p tcp "shop/web" -m tcp --dport 30080 -j KUBE-MARK-MASQ'
    nobody = rules(objects[0], **variables)["filter"]["KUBE-SERVICES"]
    assert nobody[0].endswith("-j REJECT --reject-with icmp6-port-unreachable")
    assert not rules(*objects)["nat"]["KUBE-NODEPORTS"], "nothing of it in the other family"


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_protocols(protocol: str) -> None:
    ports = [{"port": 53, "protocol": protocol, "targetPort": 5353}]
    pods = endpoint_slice(HERE, ports=[{"name": "", "port": 5353, "protocol": protocol}])
    low = protocol.lower()
    found = shortened(rules(service(ports=ports), pods), protocol=low, ends=(f"{HERE}:5353",))["nat"]
    assert found["KUBE-SERVICES"][0] == (
        f'-d 10.96.0.1/32 -p {low} "shop/web cluster IP" -m {low} --dport 53 -j KUBE-SVC'
    )
    assert found[f"KUBE-SEP-{HERE}:5353"][1] == f'-p {low} "shop/web" -m {low} -j DNAT --to-destination {HERE}:5353'


def test_several_ports_and_slices() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    one = endpoint_slice(HERE, name="one", ports=[{"name": "http", "port": 8080}])
    two = endpoint_slice(
        THERE, name="two", ports=[{"name": "http", "port": 9090}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    )
    found = rules(service(ports=ports), one, two)
    ends = (f"{HERE}:8080", f"{THERE}:9090", f"{THERE}:53")
    assert balanced(shortened(found, "shop/web:http", "tcp", ends)) == [f"{HERE}:8080", f"{THERE}:9090"]
    assert balanced(shortened(found, "shop/web:dns", "udp", ends)) == [f"{THERE}:53"]


def tail(**variables: Any) -> list[str]:
    """How KUBE-SERVICES leads to the node ports."""
    return [rule.replace(f"{LAST} ", "") for rule in shortened(rules(**variables))["nat"]["KUBE-SERVICES"]]


def test_node_port_addresses() -> None:
    several = ["10.0.0.10", "192.168.50.10", "127.0.0.1"]
    assert tail(nodeport_addresses=["primary"]) == ["-d 10.0.0.10/32 -j KUBE-NODEPORTS"]
    assert tail(nodeport_addresses=["primary"], node_addresses=several, node_ips=["192.168.50.10"]) == [
        "-d 192.168.50.10/32 -j KUBE-NODEPORTS"
    ]
    assert tail(nodeport_addresses=["127.0.0.0/8"]) == ["-d 127.0.0.1/32 -j KUBE-NODEPORTS"]
    assert tail(nodeport_addresses=["127.0.0.0/8"], localhost_nodeports=False) == []
    assert tail(nodeport_addresses=["fd00::/16"]) == [ALL_LOCAL], "no network of this family means all addresses"
    assert tail(localhost_nodeports=False) == [f"! -d 127.0.0.0/8 {ALL_LOCAL}"]
    assert tail(localhost_nodeports=False, **OLD) == [ALL_LOCAL]
    assert tail(family=IPV6, **OLD) == [ALL_LOCAL]


def test_liberal_conntrack_drops_nothing() -> None:
    drop = "-m conntrack --ctstate INVALID -j DROP"
    assert drop in rules()["filter"]["KUBE-FORWARD"]
    assert drop not in rules(conntrack_tcp_be_liberal=True)["filter"]["KUBE-FORWARD"]
    assert drop in rules(conntrack_tcp_be_liberal=True, **OLD)["filter"]["KUBE-FORWARD"]


def test_health_checks_pass_by_conntrack() -> None:
    """Where nodes ask endpoints; whoever does not has just kube-proxy's tables."""
    for dialect in (OLD, NEW, {"iptables_dispatch": "prefix"}):
        found = rules(health=True, **dialect)
        assert found["raw"]["SLUICE-CHECKS"] == ["-p tcp -m tcp --sport 61440:61695 -j CT --notrack"]
        assert found["raw"]["SLUICE-ANSWERS"] == [
            "-p tcp -m tcp --dport 61440:61695 ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket -j CT --notrack"
        ]
        assert "SLUICE-OWNER" in found["raw"]
        assert found["filter"]["INPUT"][-1].endswith("-j SLUICE-ANSWERS")
        assert list(rules(**dialect)) == list(rules(health=True, health_notrack=False, **dialect)) == ["filter", "nat"]
