"""Tables of others in nftables that drop or rewrite a Service's packets."""

from __future__ import annotations

import pytest
import support
from planted import odd, recorded

pytestmark = pytest.mark.usefixtures("needs_root")
RULES = recorded("16-loadbalancer")[".rules"]


def _listed(rule: str, kind: str = "filter", hook: str = "forward", policy: str = "accept") -> str:
    chain = f"type {kind} hook {hook} priority -150; policy {policy}"
    text = f"table inet firewall {{\n chain mine {{\n  {chain}\n  {rule}\n }}\n}}\n"
    return support.in_a_namespace("nft -f - && nft -j list ruleset", text)


def _with(rule: str, kind: str = "filter", hook: str = "forward", policy: str = "accept") -> list[tuple[str, bool]]:
    return [(each.what, each.hurts) for each in odd(RULES, _listed(rule, kind, hook, policy))]


@pytest.mark.parametrize(
    ("rule", "kind", "hook", "verdict"),
    [
        ("ip daddr 10.244.0.0/16 drop", "filter", "forward", "drop"),
        ("ip daddr 10.96.0.50 tcp dport 80 reject", "filter", "prerouting", "reject"),
        ("ip daddr 10.96.0.50 tcp dport 80 dnat ip to 192.0.2.9:80", "nat", "prerouting", "dnat"),
    ],
)
def test_what_hurts(rule: str, kind: str, hook: str, verdict: str) -> None:
    assert _with(rule, kind, hook) == [(f"a rule of somebody else in nftables: {verdict}", True)]


@pytest.mark.parametrize(
    "rule", ["ip daddr 192.0.2.0/24 drop", "ct state invalid drop", 'iifname "eth9" drop', "accept"]
)
def test_what_leaves_services_alone(rule: str) -> None:
    assert not _with(rule)


@pytest.mark.parametrize("rule", ["", "ct state established,related accept", "tcp dport 22 accept", 'iif "lo" accept'])
def test_policy_that_drops(rule: str) -> None:
    assert _with(rule, policy="drop") == [("a policy of somebody else in nftables: drop", True)]


@pytest.mark.parametrize(
    "rule", ["ct status dnat accept", "ip daddr 10.244.0.0/16 accept", 'iifname "eth1" accept', "meta mark 7 accept"]
)
def test_policy_that_may_let_services_pass(rule: str) -> None:
    found = _with(rule, policy="drop")
    assert not found or rule.startswith("meta mark"), "what interface packets come by, nobody said"


@pytest.mark.parametrize("rule", ['iifname "eth1" accept', "ip saddr 10.0.0.0/8 accept"])
def test_rule_behind_others_that_may_let_services_pass_is_a_note(rule: str) -> None:
    assert _with(f"{rule}\n  reject") == [("a rule of somebody else in nftables: reject", False)]


@pytest.mark.parametrize("hook", ["prerouting", "output"])
def test_behind_the_rewriting_there_are_endpoints(hook: str) -> None:
    def listed(address: str) -> list[str]:
        text = (
            f"table inet firewall {{ chain mine {{ type filter hook {hook} priority 0; ip daddr {address} drop; }}; }}"
        )
        return [each.what for each in odd(RULES, support.in_a_namespace("nft -f - && nft -j list ruleset", text))]

    assert not listed("10.96.0.50")
    assert listed("10.244.0.0/16") == ["a rule of somebody else in nftables: drop"]


def test_chance_hurts() -> None:
    rule = "numgen random mod 2 == 0 drop"
    assert _with(rule) == [("a rule of somebody else in nftables: drop", True)]


def test_virtual_servers_send_by_output_and_take_packets_in_input() -> None:
    held = recorded("16-loadbalancer", "ipvs").values()
    assert not odd(*held, _listed("", policy="drop")), "FORWARD has answers alone"
    (found,) = odd(*held, _listed("tcp dport 80 accept", hook="input", policy="drop"))
    assert found.hurts
    assert ":30080" in found.effect
    (found,) = odd(*held, _listed("ip daddr 10.244.0.0/16 drop", hook="output"))
    assert found.hurts
