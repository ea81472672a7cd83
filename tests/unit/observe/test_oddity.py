"""How oddities name many things in few words."""

from __future__ import annotations

from sluice.observe.oddity import few


def test_few_of_many() -> None:
    assert few(["a", "b", "c"]) == "a, b, c"
    assert few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
