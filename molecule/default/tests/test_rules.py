"""The rules in the kernel, after they were applied, meddled with (``meddle``) and applied again."""

from __future__ import annotations

import typing

import pytest

if typing.TYPE_CHECKING:
    from conftest import Node

# As kube-proxy names and writes them for the published walkthrough's Service.
WALKTHROUGH = """\
-A KUBE-SERVICES -d 192.168.11.23/32 -p tcp -m comment --comment "kube-system/kubernetes-lb cluster IP" -m tcp --dport 6443 -j KUBE-SVC-QCHM5UNDVP2L3REZ
-A KUBE-SERVICES -d 172.29.163.9/32 -p tcp -m comment --comment "kube-system/kubernetes-lb loadbalancer IP" -m tcp --dport 6443 -j KUBE-EXT-QCHM5UNDVP2L3REZ
-A KUBE-NODEPORTS -p tcp -m comment --comment "kube-system/kubernetes-lb" -m tcp --dport 31714 -j KUBE-EXT-QCHM5UNDVP2L3REZ
-A KUBE-EXT-QCHM5UNDVP2L3REZ -j KUBE-SVL-QCHM5UNDVP2L3REZ
-A KUBE-SVC-QCHM5UNDVP2L3REZ -m comment --comment "kube-system/kubernetes-lb -> 172.33.0.11:6443" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-Z2NPY4LO4FJXLM5O
-A KUBE-SVC-QCHM5UNDVP2L3REZ -m comment --comment "kube-system/kubernetes-lb -> 172.33.0.25:6443" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-Q3EYYIWS4YYGNRK6
-A KUBE-SVC-QCHM5UNDVP2L3REZ -m comment --comment "kube-system/kubernetes-lb -> 172.33.0.30:6443" -j KUBE-SEP-JJPZAXEDOCYYKOOU
-A KUBE-SEP-Z2NPY4LO4FJXLM5O -p tcp -m comment --comment "kube-system/kubernetes-lb" -m tcp -j DNAT --to-destination 172.33.0.11:6443
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
"""  # noqa: E501  rules as they are


def test_walkthrough(node: Node) -> None:
    rules = node.rules("nat")
    assert {rule: rules.count(rule) for rule in WALKTHROUGH.splitlines()} == dict.fromkeys(WALKTHROUGH.splitlines(), 1)


def test_local_endpoint(node: Node) -> None:
    """externalTrafficPolicy Local: each node keeps to the endpoint it has."""
    local = {"nft": "172.33.0.11", "legacy": "172.33.0.25"}[node.variant]
    rules = [rule for rule in node.rules("nat") if rule.startswith("-A KUBE-SVL-QCHM5UNDVP2L3REZ ")]
    assert len(rules) == 1
    assert f"{local}:6443" in rules[0]


@pytest.mark.parametrize(("table", "chain"), [("nat", "PREROUTING"), ("nat", "OUTPUT"), ("filter", "FORWARD")])
def test_jump_is_there_once(node: Node, table: str, chain: str) -> None:
    jumps = [rule for rule in node.rules(table) if rule.startswith(f"-A {chain} ") and "-j KUBE-SERVICES" in rule]
    assert len(jumps) == 1


def test_what_others_broke_is_mended(node: Node) -> None:
    assert "-A KUBE-POSTROUTING -j RETURN" not in node.rules("nat")
    assert node.rules("filter").count("-A INPUT -j KUBE-FIREWALL") == 1


def test_rules_of_others_stay(node: Node) -> None:
    assert [rule for rule in node.rules("nat") if "acme" in rule or "ACME" in rule] == [
        '-A PREROUTING -m comment --comment "acme first" -j ACME',
        '-A PREROUTING -m comment --comment "acme last" -j ACME',
        '-A POSTROUTING -s 203.0.113.99/32 -m comment --comment "acme source" -j MASQUERADE',
        "-A ACME -d 203.0.113.99/32 -j RETURN",
    ]
    foreign = [rule for rule in node.rules("filter") if "acme" in rule]
    assert foreign == ['-A FORWARD -d 203.0.113.99/32 -m comment --comment "acme forward" -j ACCEPT']


@pytest.mark.parametrize("table", ["nat", "filter"])
def test_other_variant_is_empty(node: Node, table: str) -> None:
    """A packet would meet the rules of both."""
    other = {"nft": "legacy", "legacy": "nft"}[node.variant]
    # To list a legacy table is to create it: only those that exist already are asked.
    if other == "nft" or table in node.host.run("cat /proc/net/ip_tables_names").stdout.split():
        assert node.rules(table, f"iptables-{other}-save") == []
