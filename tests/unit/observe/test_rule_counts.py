"""How many rules of which kind there are, and whose."""

from __future__ import annotations

import pytest
import support
from planted import recorded, replaced

from sluice.observe.laws import Style
from sluice.observe.rule_counts import counts, style
from sluice.observe.snapshot import snapshot
from sluice.release import RELEASES

RULES = recorded("04-clusterip-3ep")[".rules"]


def _counts(*texts: str) -> dict[tuple[str, str], int]:
    return {(each.kind, each.of): each.number for each in counts(snapshot(("", text) for text in texts))}


def test_every_rule_is_counted_once() -> None:
    found = _counts(RULES)
    assert sum(found.values()) == sum(line.startswith("-A ") for line in RULES.splitlines())
    assert found["choose an endpoint", "per Service"] == 4
    assert found["rewrite to an endpoint", "per Service"] == 6
    assert found["tell Services by their addresses", "per Service"] == 1


@pytest.mark.parametrize("compat", RELEASES)
def test_a_tree_of_prefix_chains_counts_as_the_list(compat: str) -> None:
    objects = [support.service(f"w{n}", ip=f"10.96.{n}.1") for n in range(40)]
    objects += [support.endpoint_slice("10.1.0.1", of=f"w{n}") for n in range(40)]
    catalogue = support.catalogue(*objects)
    cidrs = {"cluster_cidrs": ["10.1.0.0/16"]}
    linear, prefix = (
        support.rendered(catalogue, support.node(compat=compat, iptables_dispatch=how, **cidrs))["iptables.rules"]
        for how in ("linear", "prefix")
    )
    kinds = [key for key in _counts(linear) if key[1] == "per Service"]
    for text in (prefix, support.with_former_names(prefix)):
        assert [_counts(text)[key] for key in kinds] == [_counts(linear)[key] for key in kinds]
        assert style(snapshot([("", text)])) == style(snapshot([("", linear)]))


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
