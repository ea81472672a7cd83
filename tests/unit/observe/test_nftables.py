"""Rules of nf_tables as a packet meets them; a damaged one does not match, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.observe.hooks import trace
from sluice.observe.nftables import stations, tables
from sluice.observe.outcomes import Outcome
from sluice.observe.packets import Node, Packet

IN = {"family": "ip", "table": "t"}
CHAIN = {"chain": {**IN, "name": "c", "hook": "prerouting", "prio": 0, "type": "filter", "policy": "accept"}}
TO = {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "10.96.0.1"}}


def _traced(*expr: Any) -> list[Outcome]:
    listing = [CHAIN, *({"rule": {**IN, "chain": "c", "expr": each}} for each in (expr, [{"drop": None}]))]
    return trace(stations(tables(listing), "IPv4"), {}, Packet("10.96.0.1", 80), Node())


def test_a_rule() -> None:
    (outcome,) = _traced(TO, {"reject": None})
    assert (outcome.verdict, outcome.path[0].rule) == ("reject", "ip daddr 10.96.0.1 reject")


def test_chance() -> None:
    half = {"match": {"op": "==", "left": {"numgen": {"mode": "random", "mod": 2}}, "right": 0}}
    assert {each.verdict: str(each.probability) for each in _traced(half, {"reject": None})} == {
        "drop": "1/2",
        "reject": "1/2",
    }


@pytest.mark.parametrize(
    "statement",
    [
        *(
            None,
            {},
            5,
            {"a": 1, "b": 2},
            {"match": None},
            {"match": {"op": "=="}},
            {"match": {**TO["match"], "op": []}},
        ),
        *({"vmap": None}, {"dnat": {}}, {"dnat": {"addr": "10.1.0.1", "port": "x"}}, {"mangle": []}, {"jump": None}),
        *({"match": {"op": "==", "left": {"meta": None}, "right": 1}}, {"vmap": {"key": 1, "data": {"set": None}}}),
        {"match": {"op": "==", "left": {"numgen": {"mod": 0}}, "right": 0}},
    ],
)
def test_a_damaged_rule_does_not_match(statement: Any) -> None:
    (outcome,) = _traced(statement, {"reject": None})
    assert outcome.verdict == "drop"
    assert list(outcome.path[0].skipped.values()) == [1]
