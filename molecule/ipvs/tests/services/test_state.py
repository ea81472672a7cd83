"""What the kernel holds for the Services: after they were applied, after a reboot, after meddling and a repair."""

from __future__ import annotations

import json
import typing

import pytest
from conftest import FOREIGN, LATER_ADDRESS, NODE_ADDRESSES, VirtualServer

if typing.TYPE_CHECKING:
    from conftest import Node


def servers(port: int, *numbers: int) -> dict[str, int]:
    return {f"172.33.0.{number}:{port}": 1 for number in numbers}


def chain(rule: str) -> str:
    return rule.split()[1]


EVERY, SHOP = VirtualServer("-s rr", servers(8080, 11, 25, 30)), VirtualServer("-s rr", servers(8080, 11, 30))
LOCAL, LASTING = VirtualServer("-s rr", servers(6443, 11)), VirtualServer("-s rr", servers(9090, 11, 25, 30))

VIRTUAL_SERVERS = {
    "tcp 192.168.11.23:6443": VirtualServer("-s rr", servers(6443, 11, 25, 30)),
    "tcp 172.29.163.9:6443": LOCAL,
    "tcp 10.96.0.10:80": EVERY,
    "tcp 10.96.0.20:80": SHOP,
    "tcp 203.0.113.20:80": SHOP,
    "tcp 10.96.0.30:80": EVERY,
    "tcp 203.0.113.30:80": EVERY,
    "tcp 10.96.0.40:80": VirtualServer("-s rr", {}),
    "tcp 10.96.0.50:80": VirtualServer("-s rr -p 600", servers(8080, 11, 25, 30)),
    "udp 10.96.0.53:53": VirtualServer("-s rr", servers(5353, 11, 25, 30)),
    "tcp 10.96.0.60:80": VirtualServer("-s wrr", {"172.33.0.11:8080": 3, "172.33.0.25:8080": 2, "172.33.0.30:8080": 1}),
    "tcp 10.96.0.61:80": VirtualServer("-s sh", servers(8080, 11, 25, 30)),
    "tcp 10.96.0.70:80": LASTING,
}
# Each at every address of the node.
NODE_PORTS = {31714: LOCAL, 30080: SHOP, 30081: EVERY, 30090: LASTING}

CLUSTER_IPS = {
    "192.168.11.23,tcp:6443",
    "10.96.0.53,udp:53",
    *(f"10.96.0.{number},tcp:80" for number in (10, 20, 30, 40, 50, 60, 61, 70)),
}
EXTERNAL = {"203.0.113.20,tcp:80"}
LOAD_BALANCERS = {"203.0.113.30,tcp:80", "172.29.163.9,tcp:6443"}
ADDRESSES = {member.partition(",")[0] for member in CLUSTER_IPS | EXTERNAL | LOAD_BALANCERS}

SETS: dict[str, set[str]] = {
    "KUBE-CLUSTER-IP": CLUSTER_IPS,
    "KUBE-EXTERNAL-IP": EXTERNAL,
    "KUBE-EXTERNAL-IP-LOCAL": set(),
    "KUBE-LOAD-BALANCER": LOAD_BALANCERS,
    "KUBE-LOAD-BALANCER-LOCAL": {"172.29.163.9,tcp:6443"},
    "KUBE-LOAD-BALANCER-FW": {"203.0.113.30,tcp:80"},
    "KUBE-LOAD-BALANCER-SOURCE-CIDR": {"203.0.113.30,tcp:80,198.51.100.2"},
    "KUBE-LOAD-BALANCER-SOURCE-IP": set(),
    "KUBE-LOOP-BACK": {"172.33.0.11,tcp:6443,172.33.0.11"},
    "KUBE-NODE-PORT-TCP": {"30080", "30081", "30090", "31714"},
    "KUBE-NODE-PORT-LOCAL-TCP": {"31714"},
    "KUBE-NODE-PORT-UDP": set(),
    "KUBE-NODE-PORT-LOCAL-UDP": set(),
    "KUBE-NODE-PORT-SCTP-HASH": set(),
    "KUBE-NODE-PORT-LOCAL-SCTP-HASH": set(),
    "KUBE-HEALTH-CHECK-NODE-PORT": {"30999"},
    "KUBE-IPVS-IPS": ADDRESSES,
}

# The few rules that go with the sets, as kube-proxy writes them.
RULES = {
    "nat": """\
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES -m comment --comment "Kubernetes service lb portal" -m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER
-A KUBE-SERVICES ! -s 172.33.0.0/24 -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" -m set --match-set KUBE-EXTERNAL-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j ACCEPT
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
""",  # noqa: E501  rules as they are
    "filter": """\
-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
""",  # noqa: E501
}


def test_virtual_servers(node: Node) -> None:
    found = node.virtual_servers()
    found.pop(f"tcp {FOREIGN}", None)
    addresses = node.addresses()
    assert addresses - {LATER_ADDRESS} == NODE_ADDRESSES
    assert found == VIRTUAL_SERVERS | {
        f"tcp {address}:{port}": server for address in addresses for port, server in NODE_PORTS.items()
    }


def test_addresses(node: Node) -> None:
    """kube-ipvs0 holds every Service address and sends nothing: it is down, and does no ARP."""
    (device,) = json.loads(node.host.check_output("ip -json -details address show dev kube-ipvs0"))
    assert {f"{entry['local']}/{entry['prefixlen']}" for entry in device["addr_info"]} == {
        f"{address}/32" for address in ADDRESSES
    }
    assert device["linkinfo"]["info_kind"] == "dummy"
    assert (device["operstate"], "UP" in device["flags"], "NOARP" in device["flags"]) == ("DOWN", False, True)


def test_sets(node: Node) -> None:
    found = {name: members for name, members in node.sets().items() if name.startswith("KUBE-")}
    assert found == SETS


@pytest.mark.parametrize("table", RULES)
def test_rules(node: Node, table: str) -> None:
    """In each chain in this order, whatever rules stand between them."""
    expected = RULES[table].splitlines()
    found = [rule for rule in node.rules(table) if rule in expected]
    assert sorted(found, key=chain) == sorted(expected, key=chain)


@pytest.mark.parametrize(
    ("table", "chain", "target"),
    [
        ("nat", "PREROUTING", "KUBE-SERVICES"),
        ("nat", "OUTPUT", "KUBE-SERVICES"),
        ("nat", "POSTROUTING", "KUBE-POSTROUTING"),
        ("filter", "INPUT", "KUBE-IPVS-FILTER"),
        ("filter", "FORWARD", "KUBE-FORWARD"),
    ],
)
def test_jump_is_there_once(node: Node, table: str, chain: str, target: str) -> None:
    jumps = [rule for rule in node.rules(table) if rule.startswith(f"-A {chain} ") and rule.endswith(f"-j {target}")]
    assert len(jumps) == 1


def test_no_chain_a_service(node: Node) -> None:
    """Of the iptables backend nothing is there."""
    assert [rule for rule in node.rules("nat") if "KUBE-SVC-" in rule or "KUBE-SEP-" in rule] == []


@pytest.mark.parametrize(
    "name",
    [
        "net.ipv4.ip_forward",
        "net.ipv4.vs.conntrack",
        "net.ipv4.vs.expire_nodest_conn",
        "net.ipv4.vs.expire_quiescent_template",
    ],
)
def test_sysctls(node: Node, name: str) -> None:
    assert node.host.sysctl(name) == 1


def test_networkd_leaves_the_device_alone(node: Node) -> None:
    links = node.host.check_output("networkctl list --no-legend --no-pager").splitlines()
    assert [line.split()[-1] for line in links if "kube-ipvs0" in line] == ["unmanaged"]


def test_no_difference(node: Node) -> None:
    result = node.host.run("sluice diff --dir /etc/sluice")
    assert (result.rc, result.stderr) == (0, "")


def test_nothing_to_apply(node: Node) -> None:
    result = node.host.run("sluice apply --dir /etc/sluice")
    assert result.rc == 0, result.stderr
    assert result.stdout.splitlines()[-1].split()[0] == "changed=0"
