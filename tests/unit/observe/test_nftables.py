"""Rules of nf_tables as a packet meets them; a damaged one does not match, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.observe.hooks import trace
from sluice.observe.nftables import Entry, stations, tables
from sluice.observe.outcomes import Outcome
from sluice.observe.packets import Node, Packet

IN = {"family": "ip", "table": "t"}
CHAIN = {"chain": {**IN, "name": "c", "hook": "prerouting", "prio": 0, "type": "filter", "policy": "accept"}}
TO = {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "10.96.0.1"}}

DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
NOT_TO = {"match": {**TO["match"], "op": "!="}}


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
        *({"jump": {"target": {"a": 1}}}, {"goto": {"target": ["c"]}}, {"jump": {"target": None}}),
        {"vmap": {"key": 1, "data": {"set": [[1, {"jump": {"target": {"a": 1}}}]]}}},
        *({"match": {"op": "==", "left": {"meta": None}, "right": 1}}, {"vmap": {"key": 1, "data": {"set": None}}}),
        {"match": {"op": "==", "left": {"numgen": {"mod": 0}}, "right": 0}},
    ],
)
def test_a_damaged_rule_does_not_match(statement: Any) -> None:
    (outcome,) = _traced(statement, {"reject": None})
    assert outcome.verdict == "drop"
    assert list(outcome.path[0].skipped.values()) == [1]


def _through(hook: str, kind: str, priority: int, *rules: list[dict[str, Any]]) -> list[Entry]:
    name = f"{hook} {priority}"
    chain = {**IN, "name": name, "hook": hook, "prio": priority, "type": kind, "policy": "accept"}
    return [{"chain": chain}, *({"rule": {**IN, "chain": name, "expr": each}} for each in rules)]


def _ended(listing: list[Entry], source: str = "10.1.0.1", own: tuple[str, ...] = ("10.0.0.10",)) -> Outcome:
    (outcome,) = trace(stations(tables(listing), "IPv4"), {}, Packet("10.96.0.1", 80, "tcp", source), Node(own))
    return outcome


@pytest.mark.parametrize(
    ("redirect", "endpoint", "rule"),
    [
        ({"port": 8080}, "10.0.0.10:8080", "redirect to :8080"),
        (None, "10.0.0.10:80", "redirect"),
        ({"flags": "random"}, "10.0.0.10:80", "redirect"),
        (
            {"port": {"map": {"key": DPORT, "data": "@ports"}}},
            "10.0.0.10:8081",
            "redirect to :tcp dport map @ports",
        ),
    ],
)
def test_redirect(redirect: Any, endpoint: str, rule: str) -> None:
    ports = {"map": {**IN, "name": "ports", "type": "inet_service", "map": "inet_service", "elem": [[80, 8081]]}}
    outcome = _ended([ports, *_through("prerouting", "nat", -100, [{"redirect": redirect}])])
    assert (outcome.verdict, outcome.endpoint, outcome.path[0].rule) == ("endpoint", endpoint, rule)


def test_redirect_to_any_of_the_node_s_addresses() -> None:
    """Which one it is no dump tells, and so not what a rule says that asks for it."""
    listing = _through("prerouting", "nat", -100, [{"redirect": {"port": 8080}}])
    listing += _through("input", "filter", 0, [TO, {"drop": None}], [NOT_TO, {"drop": None}])
    outcome = _ended(listing, own=("10.0.0.10", "10.0.0.11"))
    assert outcome.endpoint == "the node:8080"
    listing += _through("output", "nat", -100, [{"redirect": {"port": 8080}}])
    assert _ended(listing, "10.0.0.10", ("10.0.0.10",)).verdict == "drop", "127.0.0.1 is not 10.96.0.1"


def test_redirect_to_some_port() -> None:
    outcome = _ended(_through("prerouting", "nat", -100, [{"redirect": {"port": {"range": [1, 9]}}}], [{"drop": None}]))
    assert outcome.path[0].skipped == {"no dump tells range": 1}


def test_notrack() -> None:
    asked = [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "untracked"}}, {"reject": None}]
    status = [{"match": {"op": "!", "left": {"ct": {"key": "status"}}, "right": "dnat"}}, {"drop": None}]
    away = _through("prerouting", "nat", -100, [{"dnat": {"addr": "10.1.0.9"}}])
    rest = [*away, *_through("forward", "filter", 0, status, asked)]
    assert _ended(_through("prerouting", "filter", -300, [{"notrack": None}]) + rest).verdict == "reject"
    assert _ended(_through("prerouting", "filter", -150, [{"notrack": None}]) + rest).endpoint == "10.1.0.9:80"


@pytest.mark.parametrize(
    ("field", "sign", "wanted", "is_so"),
    [
        ("flags", "in", "syn", True),
        ("flags", "in", ["syn", "ack"], True),
        ("flags", "in", ["ack", "rst"], False),
        ("flags", "!", ["ack", "rst"], True),
        ("flags", "!", ["syn", "ack"], False),
        ("flags", "==", "syn", True),
        ("flags", "==", ["syn", "ack"], False),
        ("flags", "==", {"|": ["syn", "ack"]}, False),
        ("flags", "!=", "syn", False),
        ("flags", "!=", {"|": ["syn", "ack"]}, True),
        ("flags", "==", {"set": [{"|": ["syn", "ack"]}, "syn"]}, True),
        ("flags", "==", {"set": [{"|": ["syn", "ack"]}, "ack"]}, False),
        ("flags", "!=", {"set": ["syn"]}, False),
        ("flags", "==", 0, False),
        ("flags", "!=", 0, True),
        ("flags", "==", 18, False),
        ("flags", "!=", 18, False),
        ("state", "in", ["new", "established"], True),
        ("state", "==", {"set": ["new", "established"]}, True),
        ("state", "!=", {"|": ["new", "established"]}, True),
        ("status", "in", "dnat", True),
        ("status", "in", ["snat", "dnat"], True),
        ("status", "!", "dnat", False),
        ("status", "==", "dnat", False),
        ("status", "!=", "dnat", True),
    ],
)
def test_bits(field: str, sign: str, wanted: Any, is_so: bool) -> None:
    """Numbers of bits are not known. The status of a connection has bits without a name as well."""
    left = {"payload": {"protocol": "tcp", "field": "flags"}} if field == "flags" else {"ct": {"key": field}}
    away = _through("prerouting", "nat", -100, [{"dnat": {"addr": "10.1.0.9"}}])
    asked = [{"match": {"op": sign, "left": left, "right": wanted}}, {"drop": None}]
    assert (_ended(away + _through("forward", "filter", 0, asked)).verdict == "drop") is is_so
