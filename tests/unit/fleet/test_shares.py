"""The p-value of what endpoints got, and the reasons why there is none."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sluice import chance
from sluice.fleet import shares

THIRDS = [["a", "1/3", ""], ["b", "1/3", ""], ["c", "1/3", ""]]


def group(cluster: Any = THIRDS, **more: Any) -> dict[str, Any]:
    return {"chooses": {"x": False}, "cluster": cluster, "local": [], "affinity": 0, "scheduler": "", **more}


def test_of_one_node() -> None:
    counts = {"a": 90, "b": 110, "c": 100}
    assert shares.verdict([([group()], counts)]) == pytest.approx(chance.uniform_p([90, 110, 100]))


def test_nodes_with_the_same_rules_are_added_up() -> None:
    samples = [([group()], {"a": 3, "b": 4, "c": 5}), ([group()], {"a": 6, "b": 4, "c": 2})]
    assert shares.verdict(samples[:1]) == shares.FEW
    assert shares.verdict(samples) == pytest.approx(chance.uniform_p([9, 8, 7]))


def test_nodes_with_other_rules_are_strata() -> None:
    """Two thirds of the endpoints on one node: no share of the sum would be right."""
    halves = [["a", "1/2", ""], ["b", "1/2", ""]]
    samples = [([group()], {"a": 100, "b": 100, "c": 100}), ([group(halves)], {"a": 60, "b": 40})]
    statistic = chance.statistic([60, 40], [1, 1])
    assert shares.verdict(samples) == pytest.approx(chance.survival(statistic, 3))


def test_weights() -> None:
    weighted = [["a", "2/3", ""], ["b", "1/3", ""]]
    assert shares.verdict([([group(weighted, scheduler="wrr")], {"a": 200, "b": 100})]) == 1.0
    assert shares.verdict([([group(weighted)], {"a": 100, "b": 200})]) < 1e-20


@pytest.mark.parametrize(
    ("groups", "counts", "why"),
    [
        ([], {}, shares.ONE),
        ([group([["a", "1", ""]])], {"a": 9}, shares.ONE),
        ([group([["a", "1", ""], ["b", "0", ""]])], {"a": 9}, shares.ONE),
        ([group(affinity=600)], {"a": 900}, shares.STICKY),
        ([group(scheduler="lc")], {"a": 900}, shares.SCHEDULED),
        ([group(chooses={"x": False, "y": True}, local=[["a", "1", ""]])], {"a": 900}, shares.MIXED),
        ([group()], {}, shares.UNCOUNTED),
        ([group()], {"a": 14}, shares.FEW),
    ],
)
def test_why_there_is_none(groups: Any, counts: Any, why: str) -> None:
    assert shares.verdict([(groups, counts)]) == why


def test_two_policies_with_the_same_endpoints_are_one() -> None:
    same = group(chooses={"x": False, "y": True}, local=THIRDS)
    assert shares.verdict([([same], {"a": 90, "b": 110, "c": 100})]) == pytest.approx(chance.uniform_p([90, 110, 100]))


def test_only_local_ones_choose() -> None:
    local = group([], chooses={"x": True}, local=THIRDS)
    assert shares.verdict([([local], {"a": 90, "b": 110, "c": 100})]) == pytest.approx(chance.uniform_p([90, 110, 100]))


def test_fair_draws_are_seldom_found_unfair() -> None:
    """p-values of fair draws are even: of 2,000, some 100 are below 0.05. (More than 150: one time in a million.)"""
    seed = 7
    draw = random.Random(seed)
    low = 0
    for _turn in range(2000):
        counts = dict.fromkeys("abc", 0)
        for text in draw.choices("abc", k=60):
            counts[text] += 1
        verdict = shares.verdict([([group()], counts)])
        assert isinstance(verdict, float)
        low += verdict < 0.05
    assert 60 < low < 150, seed
