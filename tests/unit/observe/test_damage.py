"""Damage is told in words of dumps, not of Python."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

import pytest

from sluice.observe import damage
from sluice.observe.nft_lexer import NftError


def _raised(what: Callable[[], Any]) -> str:
    with pytest.raises(Exception) as error:
        what()
    return damage.said(error.value)


def test_long_lines_are_cut() -> None:
    assert damage.said(NftError("x" * 5000)) == "x" * 199 + "…"


def _nft() -> None:
    raise NftError("line 3: a brace is not closed")


NOTHING: Any = None


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (_nft, "line 3: a brace is not closed"),
        (lambda: int("many"), "'many' is no number"),
        (lambda: ipaddress.ip_address("999.1.1.1"), "'999.1.1.1' is no address"),
        (lambda: ipaddress.ip_network("10.0.0.0/99"), "'10.0.0.0/99' is no network"),
        (
            lambda: json.loads('{"nftables": [{"a'),
            "ends in the middle: line 1, column 16: Unterminated string starting at",
        ),
        (lambda: json.loads('{"nftables": ['), "ends in the middle: line 1, column 15: Expecting value"),
        (
            lambda: json.loads("{'a': 1}"),
            "is no JSON: line 1, column 2: Expecting property name enclosed in double quotes",
        ),
        *(
            (each, damage.FORM)
            for each in (
                lambda: {}["name"],
                lambda: {}[[]],
                lambda: NOTHING.get,
                lambda: NOTHING["name"],
                lambda: int("9" * 5000),
                lambda: [1, 2][5],
                lambda: int(NOTHING),
                lambda: 1 % 0,
            )
        ),
    ],
)
def test_what_is_said(what: Callable[[], Any], said: str) -> None:
    assert _raised(what) == said
