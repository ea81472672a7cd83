"""The tree of the prefix dispatch has every rule once, below the prefix of its address, and small chains."""

from __future__ import annotations

import ipaddress

import pytest

from sluice.backends.iptables.dispatch import LEAF_ADDRESSES, as_tree
from sluice.backends.iptables.ownership import target_of
from sluice.backends.iptables.text import NAME_LENGTH, NODE_PORTS_COMMENT, PREFIX_CHAIN, RuleSet, comment

LAST = f"{comment(NODE_PORTS_COMMENT)} -d 10.0.0.1/32 -j KUBE-NODEPORTS"
OTHER = "! -d 10.96.0.1/32 -j KUBE-MARK-MASQ"


def flat(addresses: list[str], length: int = 32) -> RuleSet:
    rules = [
        f"-d {address}/{length} -p {p} -j KUBE-SVC-{n}" for n, address in enumerate(addresses) for p in ("tcp", "udp")
    ]
    return {"nat": {"KUBE-SERVICES": [*rules, OTHER, LAST], "KUBE-X": ["-j DROP"]}, "filter": {"KUBE-SERVICES": []}}


def tree(rules: RuleSet) -> RuleSet:
    first, parts, last = as_tree(rules, [], {table: {} for table in rules}, LEAF_ADDRESSES)
    assert parts == []
    return {table: {**first[table], **last[table]} for table in rules}


def way(chains: dict[str, list[str]], address: str, chain: str = "KUBE-SERVICES") -> list[str]:
    """The rules about ``address`` that a packet to it meets, in their order."""
    met = []
    for rule in chains[chain]:
        words = rule.split()
        net = (
            words[words.index("-d") + 1]
            if "-d" in words and "!" not in words
            else "0.0.0.0/0"
            if ":" not in address
            else "::/0"
        )
        if ipaddress.ip_address(address) in ipaddress.ip_network(net):
            below = target_of(rule)
            met += way(chains, address, below) if below.startswith(PREFIX_CHAIN) else [rule]
    return met


FOUR = [f"10.96.{n % 7}.{n}" for n in range(200)]
SIX = [f"fd00:96::{n % 7:x}:{n:x}" for n in range(200)]


@pytest.mark.parametrize(("addresses", "length"), [(FOUR, 32), (SIX, 128)], ids=["IPv4", "IPv6"])
def test_every_address_meets_its_own_rules(addresses: list[str], length: int) -> None:
    rules = flat(addresses, length)
    chains = tree(rules)["nat"]
    for address in addresses:
        own = [rule for rule in rules["nat"]["KUBE-SERVICES"] if f"-d {address}/{length} " in rule and "!" not in rule]
        assert [rule for rule in way(chains, address) if rule not in (OTHER, LAST)] == own
    assert chains["KUBE-SERVICES"][-2:] == [OTHER, LAST], "what is about no address stays last"


def test_names_are_such_as_a_kube_proxy_cleans_up() -> None:
    names = [chain for chain in tree(flat(FOUR))["nat"] if chain not in ("KUBE-SERVICES", "KUBE-X")]
    assert {(name[:13], len(name)) for name in names} == {("KUBE-SVC-PFX-", NAME_LENGTH)}


def test_chains_are_small() -> None:
    chains = tree(flat(FOUR))["nat"]
    sizes = [
        len({rule.split()[1] for rule in held}) for chain, held in chains.items() if chain.startswith(PREFIX_CHAIN)
    ]
    assert sizes
    assert max(sizes) <= LEAF_ADDRESSES


def test_few_addresses_stay_a_list() -> None:
    rules = flat(FOUR[:LEAF_ADDRESSES])
    assert tree(rules) == rules
    more = flat(FOUR[: LEAF_ADDRESSES + 1])
    assert tree(more) != more


def test_what_was_given_is_left_alone() -> None:
    rules = flat(FOUR)
    found = tree(rules)
    assert rules == flat(FOUR)
    assert (found["nat"]["KUBE-X"], found["filter"]) == (["-j DROP"], {"KUBE-SERVICES": []})
