"""Nodes' words as the data of one page: what is the same is kept once, and what differs is told."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import fleets
import pytest
from fleets import Node

from sluice.fleet import merge
from sluice.fleet.states import NOT_ASKED, UNREACHABLE, State
from sluice.outages import Outages

OF = fleets.catalogue(16, 3, seed=1)
DRAINED = Outages(frozenset(["10.64.0.10"]))


def told(*nodes: Node) -> list[State]:
    return fleets.states(nodes, OF, seed=2)


def row(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in data["rows"] if each["name"] == name)
    return found


def test_the_same_is_kept_once() -> None:
    data = merge.merged(told(Node("lb1"), Node("lb2"), Node("lb3", "ipvs")), 0)
    assert len(data["rows"]) == 16
    assert {len(each["forms"]) for each in data["rows"]} == {2}, "one a backend"
    assert [columns["form"][0] for columns in data["at"]] == [0, 0, 1]
    assert [node["trouble"] for node in data["nodes"]] == [[], [], []]
    json.dumps(data, allow_nan=False)


def test_counts_are_those_that_nodes_told() -> None:
    states = told(Node("lb1"), Node("lb2", "ipvs"))
    data = merge.merged(states, 0)
    at, first = 0, data["rows"][0]
    for column, state in zip(data["at"], states):
        assert state.told
        counted = state.told["rows"][at]["counted"]
        assert column["total"][:5] == counted["total"]
        assert column["connections"][:3] == [counted["ends"][text][0] for text in first["ends"]]
    assert [column["how"][0] for column in data["at"]] == [0, merge.WHOLE]
    sums = [sum(numbers) for numbers in zip(*(column["total"][:5] for column in data["at"]))]
    assert [sum(first["sums"][place::5]) for place in range(5)] == sums


def test_what_is_out() -> None:
    data = merge.merged(told(Node("lb1"), Node("lb2", out=DRAINED)), 0)
    assert row(data, "shop/web:http")["trouble"] == ["10.64.0.10:8080 is drained on lb2"]
    assert row(data, "edge/cart:http")["trouble"] == []
    data = merge.merged(told(Node("lb1", out=DRAINED), Node("lb2", out=DRAINED)), 0)
    assert row(data, "shop/web:http")["trouble"] == ["10.64.0.10:8080 is drained"], "everywhere"


def test_other_catalogues_and_services_that_are_missing() -> None:
    states = told(Node("lb1"), Node("lb2"), Node("lb3", more={"catalogue": "0123456789ab"}))
    assert states[2].told
    gone, unnamed = states[2].told["rows"][0], states[2].told["rows"][1]
    gone["groups"] = []
    unnamed["declared"] = False
    data = merge.merged(states, 0)
    assert data["nodes"][2]["trouble"] == ["its catalogue (0123456789ab) is not the one of most nodes (5b1f0c2a9e77)"]
    assert row(data, gone["name"])["trouble"] == ["not in the kernel on lb3"]
    assert row(data, unnamed["name"])["trouble"] == ["not in the catalogue on lb3"]


def test_shares_that_chance_does_not_give() -> None:
    states = told(Node("lb1"))
    assert states[0].told
    ends = states[0].told["rows"][0]["counted"]["ends"]
    for text, count in zip(ends, (900, 30, 30)):
        ends[text][0] = count
    found = row(merge.merged(states, 0), states[0].told["rows"][0]["name"])
    assert found["verdict"] < 1e-100
    assert found["trouble"][0].startswith("shares are not what chance gives (p = ")


def test_refused() -> None:
    states = told(Node("lb1"), Node("lb2"))
    for state in states:
        assert state.told
        state.told["rows"][0]["groups"][0]["ways"][0][3] = "REJECT"
    found = row(merge.merged(states, 0), states[0].told["rows"][0]["name"])  # type: ignore[index]
    assert found["trouble"] == ["refused: no endpoint serves"]


def test_nodes_that_told_nothing() -> None:
    lost = [State("lb8", None, UNREACHABLE, "timed out"), State("lb9", None, NOT_ASKED)]
    data = merge.merged([*told(Node("lb1")), *lost], 0)
    assert data["nodes"][1:] == [
        {"name": "lb8", "failed": UNREACHABLE, "why": "timed out"},
        {"name": "lb9", "failed": NOT_ASKED, "why": ""},
    ]
    assert len(data["at"]) == 1
    nobody = merge.merged(lost, 0)
    assert (nobody["rows"], nobody["at"]) == ([], [])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told.pop("rows"),
        lambda told: told.update(rows=7),
        lambda told: told["rows"][0].pop("groups"),
        lambda told: told["rows"][0]["groups"][0].update(cluster=[["a", "1/0", ""], ["b", "x", ""]]),
        lambda told: told["rows"][0]["counted"].update(total="many"),
        lambda told: told.update(trouble=None),
        lambda told: told.pop("status"),
    ],
)
def test_one_damaged_node_spoils_no_page(spoil: Any) -> None:
    states = told(Node("lb1"), Node("lb2"))
    bad = copy.deepcopy(dict(states[1].told or {}))
    spoil(bad)
    data = merge.merged([states[0], State("lb2", bad)], 0)
    assert data["nodes"][1]["failed"] == "failed"
    assert data["nodes"][1]["why"].startswith("what it told cannot be read: ")
    assert data["rows"] == merge.merged(states[:1], 0)["rows"]
