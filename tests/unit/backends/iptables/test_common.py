"""Rules that IPVS mode has as well: masquerading, host ports."""

from __future__ import annotations

from typing import Any

import pytest
from iptables_rules import HERE
from support import catalogue, node, rule_set, rules

from sluice import names, render
from sluice.addresses import IPV4, IPV6
from sluice.backends.iptables import common


def test_masquerade_bit() -> None:
    found = rules(masquerade_bit=3)
    assert found["nat"]["KUBE-MARK-MASQ"] == ["-j MARK --set-xmark 0x8/0x8"]
    assert found["nat"]["KUBE-POSTROUTING"][:2] == ["-m mark ! --mark 0x8/0x8 -j RETURN", "-j MARK --set-xmark 0x8/0x0"]
    assert not any("0x4000" in rule for chains in found.values() for lines in chains.values() for rule in lines)


def pod(**more: Any) -> dict[str, Any]:
    port = {"containerPort": 9100, "hostPort": 9200, **more.pop("port", {})}
    metadata = {"name": "agent", "namespace": "shop", "uid": "6b3a1f"} | more.pop("metadata", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {key: value for key, value in metadata.items() if value},
        "spec": {"nodeName": "node1", "containers": [{"ports": [port]}], **more},
        "status": {"podIP": HERE, "podIPs": [{"ip": HERE}, {"ip": "fd00:244::1"}]},
    }


LOOPBACK_STAYS = '-m comment --comment "loopback is not for host ports without a hostIP"'


def test_host_port() -> None:
    found = rules(pod())["nat"]
    chain = names.host_port_chain_name("6b3a1f", 9200, "TCP")
    comment = '-m comment --comment "agent_shop hostport 9200"'
    assert found["KUBE-HOSTPORTS"] == [
        f"-d 127.0.0.0/8 {LOOPBACK_STAYS} -j RETURN",
        f"-p tcp {comment} -m tcp --dport 9200 -j {chain}",
    ]
    assert found[chain] == [
        f"-s {HERE}/32 {comment} -j KUBE-MARK-MASQ",
        f"-p tcp {comment} -m tcp -j DNAT --to-destination {HERE}:9100",
    ]
    jump = '-m comment --comment "kube hostport portals" -m addrtype --dst-type LOCAL -j KUBE-HOSTPORTS'
    assert [found["PREROUTING"][-1], found["OUTPUT"][-1]] == [jump, jump]
    in_v6 = rules(pod(), family=IPV6)["nat"]
    assert in_v6["KUBE-HOSTPORTS"][0] == f"-d ::1/128 {LOOPBACK_STAYS} -j RETURN"
    assert in_v6[chain][1].endswith("--to-destination [fd00:244::1]:9100")


@pytest.mark.parametrize(
    ("changes", "family_has_it"),
    [
        ({"nodeName": "node2"}, False),
        ({"hostNetwork": True}, False),
        ({"port": {"hostIP": "fd00:10::10"}}, False),
        ({"port": {"hostIP": "0.0.0.0"}}, True),
    ],
)
def test_host_ports_of_this_node_and_family_only(changes: dict[str, Any], family_has_it: bool) -> None:
    assert ("KUBE-HOSTPORTS" in rules(pod(**changes))["nat"]) == family_has_it


def test_host_port_on_one_address_and_without_uid() -> None:
    found = rules(pod(port={"hostIP": "10.0.0.10", "protocol": "UDP"}, metadata={"uid": ""}))["nat"]
    chain = names.host_port_chain_name("shop/agent", 9200, "UDP")
    assert found["KUBE-HOSTPORTS"] == [
        f'-d 10.0.0.10/32 -p udp -m comment --comment "agent_shop hostport 9200" -m udp --dport 9200 -j {chain}'
    ]


def test_host_port_on_loopback() -> None:
    """For the node's own clients, with its outward address as source: the Pod would answer its own 127.0.0.1."""
    found = rules(pod(port={"hostIP": "127.0.0.1"}))["nat"]
    chain = names.host_port_chain_name("6b3a1f", 9200, "TCP")
    comment = '-m comment --comment "agent_shop hostport 9200"'
    from_node = "-m addrtype --src-type LOCAL"
    assert found["KUBE-HOSTPORTS"] == [f"-d 127.0.0.1/32 -p tcp {comment} {from_node} -m tcp --dport 9200 -j {chain}"]
    assert found[chain][:-1] == [
        f"-s {HERE}/32 {comment} -j KUBE-MARK-MASQ",
        f"-s 127.0.0.0/8 {comment} -j KUBE-MARK-MASQ",
    ]


def test_a_host_port_with_an_address_comes_before_those_without() -> None:
    """It may be on loopback, which those leave alone."""
    everywhere, named = pod(), pod(port={"hostIP": "127.0.0.1"}, metadata={"name": "other", "uid": "6b3a20"})
    found = rules(everywhere, named)["nat"]["KUBE-HOSTPORTS"]
    assert [rule.split()[:2] for rule in found] == [["-d", "127.0.0.1/32"], ["-d", "127.0.0.0/8"], ["-p", "tcp"]]


@pytest.mark.parametrize("port", [{}, {"hostIP": "10.0.0.10"}, {"hostIP": "127.0.0.1"}])
@pytest.mark.parametrize("backend", ["iptables", "ipvs"])
def test_what_a_host_port_on_loopback_opens_is_closed_to_neighbours(backend: str, port: dict[str, str]) -> None:
    """Where node ports on localhost need neither the sysctl nor the rule."""
    own = node(backend=backend, localhost_nodeports=False)
    found = catalogue(pod(port=port))
    filtered = rule_set(found, own, IPV4)["filter"]
    guards = [name for name, lines in filtered.items() if any("block incoming localnet" in rule for rule in lines)]
    opened = "net.ipv4.conf.all.route_localnet" in render.needs(render.views(found, own), own, (6, 1)).sysctls
    assert opened == bool(guards) == (port == {"hostIP": "127.0.0.1"})
    assert all(f"-j {guard}" in filtered["INPUT"] for guard in guards)


def test_entries_keep_their_order_by_chain() -> None:
    found = common.collected([("nat", "A", "1"), ("nat", "B", "")], [("filter", "A", "2"), ("nat", "A", "0")])
    assert found == {"filter": {"A": ["2"]}, "nat": {"A": ["1", "0"], "B": []}}


def test_pieces_of_a_rule() -> None:
    assert common.to("10.0.0.1", "udp", 53)("X") == "-d 10.0.0.1/32 -p udp X -m udp --dport 53"
    assert [common.source(net) for net in ("10.0.0.0/8", "0.0.0.0/0", "::/0")] == ["-s 10.0.0.0/8 ", "", ""]
    assert common.words("a", "", "b") == "a b"
