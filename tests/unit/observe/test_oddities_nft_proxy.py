"""kube-proxy's nftables tables, with rules and chains taken away or changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from planted import said

from sluice.observe.oddities_nft_proxy import targets

TABLE = (Path(__file__).parent / "kube-proxy-1.36.nft").read_text()


def spoilt(pattern: str, new: str = "") -> str:
    """The table in which what the pattern finds first is something else."""
    changed = re.sub(pattern, new, TABLE, count=1)
    assert changed != TABLE, pattern
    return said(changed)


def test_nothing_is_odd_in_the_table_itself() -> None:
    assert not said(TABLE)


UNCHECKED = [
    (
        r"(filter-input \{\n.*\n).*nodeport-endpoints-check\n",
        "- no base chain in input leads to nodeport-endpoints-check",
    ),
    (r"(filter-forward \{\n.*\n).*service-endp.*\n", "- no base chain in forward leads to service-endpoints-check"),
    (r"(filter-output \{\n.*\n).*service-endp.*\n", "- no base chain in output leads to service-endpoints-check"),
    (r"(filter-prerouting-pre-dnat \{\n.*\n).*\n", "! no base chain in prerouting leads to firewall-check"),
    (r"(filter-output-pre-dnat \{\n.*\n).*\n", "! no base chain in output leads to firewall-check"),
]


@pytest.mark.parametrize(("pattern", "what"), UNCHECKED)
def test_jump_that_is_gone(pattern: str, what: str) -> None:
    assert what in spoilt(pattern, r"\1")


RULES = [
    (r"ip daddr . meta l4proto . th dport vmap @service-ips", "! set with elements that no rule asks for: nftables ip"),
    (
        r"ip daddr . meta l4proto . th dport vmap @firewall-ips",
        "! set with elements that no rule asks for: nftables ip",
    ),
    (r"ip daddr @cluster-ips ip saddr .*", "! cluster IPs are not masqueraded"),
    (r"mark and 0x4000 != 0 .*", "! no rule masquerades what is marked"),
    (r"ip saddr . ip daddr .*@hairpin.*", "! set with elements that no rule asks for"),
    (r"ip daddr @cluster-ips reject .*", "! no rule refuses ports that no Service has"),
    (r"(reject-chain \{\n)\s*reject\n", "! chain that leads to no endpoint: nftables ip kube-proxy: reject-chain"),
    (r"meta l4proto tcp dnat ip to numgen random mod 2.*", "! chain that leads to no endpoint"),
    (r"ip saddr 10.244.0.0/16 goto .*", "! no rule by which Pods reach all endpoints"),
    (r"fib saddr type local mark .*", "! what the node itself sends there is not masqueraded"),
    (r"fib saddr type local goto .*", "! no rule by which the node itself reaches all endpoints"),
    (r"goto local-AAAAAAAA.*", "! chains to which no rule jumps"),
    (r"ip saddr != \{ 192.*", "! chain that leads to no endpoint: nftables ip kube-proxy: firewall-"),
    (r'mark set mark or 0x4000 comment "masquerade"', "! clients outside are not masqueraded"),
    (r"ip saddr @affinity-YEVBQ4JW.*", "! endpoint with session affinity to which no rule brings clients back"),
    (r"numgen random mod 2 vmap.*", "! chain that leads to no endpoint"),
    (r"update @affinity-YEVBQ4JW.*", "! endpoint chain that does not write down its clients"),
    (r"meta l4proto tcp dnat to 10.244.1.5:8080", "! endpoint chain without dnat"),
]


@pytest.mark.parametrize(("pattern", "what"), RULES)
def test_rule_that_is_gone(pattern: str, what: str) -> None:
    assert what in spoilt(pattern, r"\1" if "(" in pattern else "")


CHANGED = [
    (r"mod 2 map", "mod 3 map", "! choice by chance whose numbers are not those of its slots"),
    (r"mod 2 vmap", "mod 3 vmap", "! choice by chance whose numbers are not those of its slots"),
    (r", 1 : 10.244.2.5 . 8080 \}", " }", "1 of 2 connections go to no endpoint"),
    (r"1 : 10.244.2.5 . 8080", "1 : 10.244.1.5 . 8080", "! endpoints that do not get the same share"),
    (r"dnat to 10.244.1.5:8080", "dnat to 10.244.1.5:9", "! endpoint chain that sends elsewhere"),
    (r"dnat to 10.244.1.5:8080", "dnat to 10.244.9.5:8080", "! endpoint chain that sends elsewhere"),
    (
        r"http__10.244.1.5/8080 goto endpoint-YEVBQ4JW",
        "http__10.244.1.5/8080 goto endpoint-X",
        "! session affinity that leads to",
    ),
    (r"meta l4proto tcp dnat ip to numgen", "meta l4proto udp dnat ip to numgen", "! chain that asks for another"),
    (r"goto endpoint-YEVBQ4JW\S+, 1", "goto endpoint-XXXXXXXX-gone, 1", "! jump to a chain that is not there"),
]


@pytest.mark.parametrize(("pattern", "new", "what"), CHANGED)
def test_rule_that_says_something_else(pattern: str, new: str, what: str) -> None:
    assert what in spoilt(pattern, new)


def test_set_of_clients_that_is_gone() -> None:
    assert "! session affinity without its list of clients" in spoilt(r"\tset affinity-YEV[^}]*\}\n")


def test_targets_are_chains_by_name_alone() -> None:
    assert list(
        targets(
            [{"jump": {"target": "a"}}, {"goto": {"target": {"b": 1}}}, {"vmap": [["k", {"goto": {"target": "c"}}]]}]
        )
    ) == ["a", "c"]
