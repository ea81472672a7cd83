"""Tables of others in nftables that drop or rewrite a Service's packets."""

from __future__ import annotations

import pytest
import support
from planted import odd, recorded

pytestmark = pytest.mark.usefixtures("needs_root")
RULES = recorded("16-loadbalancer")[".rules"]


def _with(rule: str, kind: str = "filter", hook: str = "forward", policy: str = "accept") -> list[tuple[str, bool]]:
    chain = f"type {kind} hook {hook} priority -150; policy {policy}"
    text = f"table inet firewall {{\n chain mine {{\n  {chain}\n  {rule}\n }}\n}}\n"
    listed = support.in_a_namespace("nft -f - && nft -j list ruleset", text)
    return [(each.what, each.hurts) for each in odd(RULES, listed)]


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
