"""Rules of a listing as nft(8) writes them, and damaged ones as they stand."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.observe import nft_text

DADDR = {"payload": {"protocol": "ip", "field": "daddr"}}


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ({"match": {"op": "==", "left": DADDR, "right": "10.0.0.1"}}, "ip daddr 10.0.0.1"),
        ({"match": {"op": "!=", "left": DADDR, "right": "@own"}}, "ip daddr != @own"),
        ({"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}, "meta mark set 1"),
        ({"jump": {"target": "a"}}, "jump a"),
        ({"dnat": {"addr": "10.1.0.1", "port": 80}}, "dnat to 10.1.0.1:80"),
        ({"vmap": {"key": DADDR, "data": "@services"}}, "ip daddr vmap @services"),
        ({"redirect": {"port": 80}}, "redirect to :80"),
        ({"redirect": None}, "redirect"),
        ({"accept": None}, "accept"),
        ({"reject": None}, "reject"),
        ({"reject": {"type": "icmp", "expr": "port-unreachable"}}, "reject"),
        ({"reject": {"type": "icmpx", "expr": "admin-prohibited"}}, "reject with icmpx admin-prohibited"),
        ({"reject": {"type": "tcp reset"}}, "reject with tcp reset"),
        ({"match": {"op": "=="}}, "match {'op': '=='}"),
        ({"jump": None}, "jump None"),
    ],
)
def test_statements(statement: dict[str, Any], text: str) -> None:
    assert nft_text.rule([statement]) == text


def test_long_sets_are_cut() -> None:
    assert nft_text.expression({"set": list(range(9))}) == "{ 0, 1, 2, 3, 4, 5, … }"
