"""How many rules of which kind there are, and whose."""

from __future__ import annotations

from planted import recorded, replaced

from sluice.observe.laws import Style
from sluice.observe.rule_counts import counts, style
from sluice.observe.snapshot import snapshot

RULES = recorded("04-clusterip-3ep")[".rules"]


def _counts(*texts: str) -> dict[tuple[str, str], int]:
    return {(each.kind, each.of): each.number for each in counts(snapshot(("", text) for text in texts))}


def test_every_rule_is_counted_once() -> None:
    found = _counts(RULES)
    assert sum(found.values()) == sum(line.startswith("-A ") for line in RULES.splitlines())
    assert found["choose an endpoint", "per Service"] == 4
    assert found["rewrite to an endpoint", "per Service"] == 6
    assert found["tell Services by their addresses", "per Service"] == 1


def test_rules_of_others_are_theirs() -> None:
    text = replaced(RULES, "*filter\n", "*filter\n-A INPUT -i lo -j ACCEPT\n-A MINE -j DROP\n")
    assert _counts(text)["rules", "of others"] == 2


def test_servers_and_sets() -> None:
    held = recorded("04-clusterip-3ep", "ipvs")
    found = _counts(held[".ipvs"], held[".ipset"])
    assert found["virtual servers", "per Service"] == 1
    assert found["real servers", "per Service"] == 3
    assert found["sets", "constant"] == 17


def test_styles() -> None:
    def of(case: str, version: str) -> Style:
        return style(snapshot(recorded(case, "iptables", version).items()))

    assert of("20-loadbalancer-local", "1.20") == Style(is_old=True)
    assert of("20-loadbalancer-local", "1.36") == Style()
    assert of("45-cluster-cidr-unset-lb-local", "1.36") == Style(masquerades=False, tells_pods=False)
