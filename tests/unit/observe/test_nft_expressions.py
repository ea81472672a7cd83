"""Expressions of nft's language, as nft -j lists them; tests/kernel/observe/test_nft_text.py asks nft itself."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.observe.nft_expressions import element, expression, literal, seconds, wanted, wanted_of_one
from sluice.observe.nft_lexer import Lexer, NftError, Words

MARK = {"meta": {"key": "mark"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}


def _words(text: str) -> Words:
    lexer = Lexer(text)
    lexer.skip("\n")
    return Words(lexer.line())


@pytest.mark.parametrize(
    ("word", "listed"),
    [
        ("80", 80),
        ("0x00004000", 0x4000),
        ("10.0.0.0/8", {"prefix": {"addr": "10.0.0.0", "len": 8}}),
        ("fd00::/64", {"prefix": {"addr": "fd00::", "len": 64}}),
        ("8000-9000", {"range": [8000, 9000]}),
        ("0x1-0xff", {"range": [1, 255]}),
        ("192.0.2.1-192.0.2.9", {"range": ["192.0.2.1", "192.0.2.9"]}),
        ("fd00::1-fd00::9", {"range": ["fd00::1", "fd00::9"]}),
        ("port-unreachable", "port-unreachable"),
        ("8005:3001", "8005:3001"),
        ('"eth0"', "eth0"),
        ("shop/web/tcp", "shop/web/tcp"),
    ],
)
def test_literals(word: str, listed: Any) -> None:
    assert literal(word) == listed


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("mark and 0x4000", {"&": [MARK, 0x4000]}),
        ("meta mark & 0xff | 0x100", {"|": [{"&": [MARK, 0xFF]}, 0x100]}),
        ("meta mark & (0xf0 ^ 0xff)", {"&": [MARK, {"^": [0xF0, 0xFF]}]}),
        ("tcp flags & (fin | syn)", {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["fin", "syn"]]}),
        ("meta mark & 7 . ip saddr", {"concat": [{"&": [MARK, 7]}, SOURCE]}),
        ("ct original ip daddr", {"ct": {"key": "ip daddr", "dir": "original"}}),
        ("fib saddr . iif type", {"fib": {"result": "type", "flags": ["saddr", "iif"]}}),
        ("numgen random mod 3", {"numgen": {"mode": "random", "mod": 3, "offset": 0}}),
        ("jhash ip saddr mod 4 seed 0x5", {"jhash": {"expr": SOURCE, "mod": 4, "seed": 5, "offset": 0}}),
        ("socket wildcard", {"socket": {"key": "wildcard"}}),
        ("ip saddr map @to", {"map": {"key": SOURCE, "data": "@to"}}),
        ("ip saddr map { 1.1.1.1 : 5 }", {"map": {"key": SOURCE, "data": {"set": [["1.1.1.1", 5]]}}}),
    ],
)
def test_expressions(text: str, listed: Any) -> None:
    assert expression(_words(text)) == listed


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("established,related", ["established", "related"]),
        ("{ 22, 8000-9000 }", {"set": [22, {"range": [8000, 9000]}]}),
        ("@networks", "@networks"),
        ("syn | ack", {"|": ["syn", "ack"]}),
        ("1.1.1.1 . 80", {"concat": ["1.1.1.1", 80]}),
        ("tcp dnat", "tcp"),
    ],
)
def test_what_is_wanted(text: str, listed: Any) -> None:
    assert wanted(_words(text)) == listed


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("1.1.1.1", "1.1.1.1"),
        (
            '1.1.1.1 . 80 counter packets 1 bytes 2 timeout 30m expires 1h2s5ms comment "a, b" : goto c',
            [
                {
                    "elem": {
                        "val": {"concat": ["1.1.1.1", 80]},
                        "counter": {"packets": 1, "bytes": 2},
                        "timeout": 1800,
                        "expires": 3602,
                        "comment": "a, b",
                    }
                },
                {"goto": {"target": "c"}},
            ],
        ),
        ("tcp : drop", ["tcp", {"drop": None}]),
    ],
)
def test_elements(text: str, listed: Any) -> None:
    assert element(_words(text), wanted_of_one) == listed


@pytest.mark.parametrize("word", ["", "3", "3x", "h", "1s1h"])
def test_no_length(word: str) -> None:
    with pytest.raises(NftError):
        seconds(word)


def test_lengths() -> None:
    assert [seconds(word) for word in ("3h", "30s", "1d1m", "29m59s996ms", "4ms")] == [10800, 30, 86460, 1799, 0]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "meta",
            "numgen random",
            "numgen random mod 0",
            "jhash ip saddr mod a",
            "ct count over 5",
            "tcp option maxseg",
        ),
        *("( mark", ") 5", "ip saddr map", "( " * 50 + "1" + " )" * 50, "jhash " * 50, " | ".join("a" * 50)),
        "ip saddr map " + "{ 1 : " * 50 + "}" * 50,
    ],
)
def test_what_is_not_known(text: str) -> None:
    with pytest.raises(NftError):
        expression(Words(text.split()))
