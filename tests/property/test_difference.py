"""The parts of two texts that differ: what a plan of them says is what a plan of the whole texts says."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.text import RuleSet

CHAINS = st.sampled_from(["INPUT", "FORWARD", "KUBE-A", "KUBE-AB", "KUBE-B", "KUBE-C", "SLUICE-OWNER"])
RULES = st.lists(st.sampled_from(["-j KUBE-A", "-j KUBE-AB", "-s 10.0.0.1/32 -j DROP", "-p tcp -j KUBE-B"]), max_size=4)
TABLE = st.dictionaries(CHAINS, RULES, max_size=7)


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[RuleSet, RuleSet]:
    """Two rule sets; the second one is the first with a few chains changed, or one of its own."""
    old = {"filter": draw(TABLE), "nat": draw(TABLE)}
    if draw(st.booleans()):
        return old, {"filter": draw(TABLE), "nat": draw(TABLE)}
    new = {table: {**chains, **draw(st.dictionaries(CHAINS, RULES, max_size=2))} for table, chains in old.items()}
    for chains in new.values():
        for gone in draw(st.lists(CHAINS, max_size=1)):
            chains.pop(gone, None)
    return old, new


@given(rule_sets())
def test_difference_has_every_chain_that_differs_and_no_other_rules(pair: tuple[RuleSet, RuleSet]) -> None:
    texts = [f"# a comment\n{ruleset.text(rules)}" for rules in pair]
    whole = [ruleset.parse(text) for text in texts]
    parts = ruleset.difference(*texts)
    for part, rules in zip(parts, whole):
        for table, chains in part.items():
            for chain, held in chains.items():
                assert held == rules[table][chain]
    for table in ("filter", "nat"):
        for chain in {*whole[0][table], *whole[1][table]}:
            if whole[0][table].get(chain) != whole[1][table].get(chain):
                assert [part.get(table, {}).get(chain) for part in parts] == [r[table].get(chain) for r in whole]


def test_difference_is_small() -> None:
    old = {
        "filter": {},
        "nat": {f"KUBE-SEP-{number}": [f"-j DNAT --to-destination 10.0.0.1:{number}"] for number in range(500)},
    }
    new = {"filter": {}, "nat": {**old["nat"], "KUBE-SEP-250": ["-j DNAT --to-destination 10.0.0.2:1"]}}
    parts = ruleset.difference(ruleset.text(old), ruleset.text(new))
    assert [list(part["nat"]) for part in parts] == [["KUBE-SEP-250"]] * 2


def test_difference_of_much_takes_no_longer_than_reading_it() -> None:
    """It grows with the texts, not with what differs in them; here by some times what ``parse`` takes."""
    old, new = (
        ruleset.text({"nat": {f"KUBE-SEP-{number}": ["-j DROP"] for number in range(chains)}}) for chains in (8000, 1)
    )

    def taken(what: Callable[[], object]) -> float:
        begin = time.process_time()
        what()
        return time.process_time() - begin

    rounds = [(taken(lambda: ruleset.difference(old, new)), taken(lambda: ruleset.parse(old))) for _ in range(5)]
    assert min(each[0] for each in rounds) < 20 * min(each[1] for each in rounds)


@given(rule_sets())
def test_first_table_that_differs(pair: tuple[RuleSet, RuleSet]) -> None:
    texts = [f"# a comment\n{ruleset.text(rules)}" for rules in pair]
    parts = [text.partition("*nat\n") for text in texts]
    expected = "" if parts[0] == parts[1] else "nat" if parts[0][0] == parts[1][0] else "filter"
    assert ruleset.first_that_differs(*texts) == expected


@pytest.mark.parametrize("texts", [("", ""), ("", "*nat\nCOMMIT\n"), ("*nat\nCOMMIT\n", ""), ("*na", "*nat\n")])
def test_no_table_of_both_differs(texts: tuple[str, str]) -> None:
    assert ruleset.first_that_differs(*texts) == ""
