"""Statements of nft's language, as nft -j lists them; tests/kernel/observe/test_nft_text.py asks nft for many more."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.observe.nft_lexer import Lexer
from sluice.observe.nft_statements import rule

SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
MARK = {"meta": {"key": "mark"}}
TCP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}


def _rule(text: str) -> tuple[list[dict[str, Any]], str]:
    lexer = Lexer(text)
    lexer.skip("\n")
    return rule(lexer.line())


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("accept", [{"accept": None}]),
        ("goto shop/web", [{"goto": {"target": "shop/web"}}]),
        ("ct state new", [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}]),
        ("ip saddr != @a", [{"match": {"op": "!=", "left": SOURCE, "right": "@a"}}]),
        ("mark set mark or 0x4000", [{"mangle": {"key": MARK, "value": {"|": [MARK, 0x4000]}}}]),
        ("ip saddr vmap @a", [{"vmap": {"key": SOURCE, "data": "@a"}}]),
        ("meta l4proto tcp dnat to [fd00::1]:80", [TCP, {"dnat": {"addr": "fd00::1", "port": 80}}]),
        ("dnat ip to 1.1.1.1", [{"dnat": {"family": "ip", "addr": "1.1.1.1"}}]),
        ("dnat to ip saddr map @a", [{"dnat": {"addr": {"map": {"key": SOURCE, "data": "@a"}}}}]),
        ("masquerade fully-random", [{"masquerade": {"flags": "fully-random"}}]),
        ("masquerade", [{"masquerade": None}]),
        (
            "update @a { ip saddr timeout 3s }",
            [{"set": {"op": "update", "elem": {"elem": {"val": SOURCE, "timeout": 3}}, "set": "@a"}}],
        ),
        (
            "delete @a { ip saddr : meta mark }",
            [{"set": {"op": "delete", "elem": SOURCE, "set": "@a", "data": MARK}}],
        ),
        ("flow add @offload", [{"flow": {"op": "add", "flowtable": "@offload"}}]),
        ("notrack", [{"notrack": None}]),
        ("redirect", [{"redirect": None}]),
        ("redirect to :8080", [{"redirect": {"port": 8080}}]),
        ("redirect to :8080-8090 random", [{"redirect": {"port": {"range": [8080, 8090]}, "flags": "random"}}]),
        (
            "redirect to :tcp dport map { 80 : 8080 }",
            [{"redirect": {"port": {"map": {"key": DPORT, "data": {"set": [[80, 8080]]}}}}}],
        ),
        ("redirect to :tcp dport map @a", [{"redirect": {"port": {"map": {"key": DPORT, "data": "@a"}}}}]),
        ("reject with tcp reset", [{"reject": {"type": "tcp reset"}}]),
        ('log prefix "a" counter', [{"log": {"prefix": "a"}}, {"counter": None}]),
        ("limit rate over 3/second", [{"limit": {"rate": 3, "per": "second", "inv": True}}]),
        ("queue num 1-3 bypass", [{"queue": None}]),
        ("last used 3s", [{"last": None}]),
        ('xt match "comment"', [{"xt": None}]),
        ('ct helper set "ftp"', [{"ct helper": "ftp"}]),
    ],
)
def test_statements(text: str, listed: list[Any]) -> None:
    assert _rule(text) == (listed, "")


def test_a_comment_is_the_rules() -> None:
    assert _rule('drop comment "no, { thanks"') == ([{"drop": None}], "no, { thanks")


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("meta l4proto tcp quota 5", [TCP, {"unknown": "quota 5"}]),
        ("meta l4proto tcp dnat to 1.1.1.1:tcp sport map @a", [TCP, {"unknown": "dnat to 1.1.1.1:tcp sport map @a"}]),
        ("mark set 5 something new", [{"unknown": "mark set 5 something new"}]),
        ("jump", [{"unknown": "jump"}]),
        ("limit rate often drop", [{"unknown": "limit rate often drop"}]),
        ("add a { b }", [{"unknown": "add a { b }"}]),
        ("flow remove @a", [{"unknown": "flow remove @a"}]),
        (
            "numgen random mod 99999999999999999999 vmap @a",
            [{"unknown": "numgen random mod 99999999999999999999 vmap @a"}],
        ),
    ],
)
def test_what_is_not_known_is_kept_and_nothing_is_done_before_it(text: str, listed: list[Any]) -> None:
    assert _rule(text) == (listed, "")
