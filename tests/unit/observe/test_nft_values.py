"""Values of a listing, and what fits into ranges, networks and sets."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.observe.nft_values import MissError, elements, fits, value
from sluice.observe.packets import ELSEWHERE


@pytest.mark.parametrize(
    ("listed", "found"),
    [(80, 80), ("8005:3001", 0x80053001), ("none", 0), ("fd00:0::1", "fd00::1"), ("tcp", "tcp")],
)
def test_values(listed: Any, found: Any) -> None:
    assert value(listed) == found


@pytest.mark.parametrize(
    ("given", "wanted", "fit"),
    [
        (80, 80, True),
        (80, {"range": [1, 79]}, False),
        (80, {"set": [1, {"range": [79, 81]}]}, True),
        ("10.0.0.5", {"range": ["10.0.0.1", "10.0.0.9"]}, True),
        ("10.0.0.5", {"prefix": {"addr": "10.0.0.0", "len": 8}}, True),
        (ELSEWHERE, {"range": ["0.0.0.0", "9.9.9.9"]}, False),
        (("a", 80), ("a", {"range": [1, 90]}), True),
        (("a", 80), ("a",), False),
        (80, {"odd": None}, False),
    ],
)
def test_fits(given: Any, wanted: Any, fit: bool) -> None:
    assert fits(given, wanted) is fit


def test_elements() -> None:
    held = elements([["10.0.0.1", 1], [{"prefix": {"addr": "10.1.0.0", "len": 16}}, 2]], mapped=True)
    assert (held.find("10.0.0.1", "m"), held.find("10.1.2.3", "m")) == (1, 2)
    with pytest.raises(MissError, match=r"^not in m$"):
        held.find("10.2.0.1", "m")
