"""What an apply changed, as numbers and as lines that a person reads."""

from __future__ import annotations

from sluice.backends.interface import Amount, Change
from sluice.node.result import Result, lines

CHANGES = (
    Change("chain A", "add", added=("a", "b")),
    Change("chain B", "change", ("old",), ("new",)),
    Change("chain C", "remove", ("x",)),
    Change("chain D", "remove"),
)


def test_nothing_changed() -> None:
    assert not Result().changed
    assert Result(flows=3).summary() == "changed=0"
    assert set(Result().counts().values()) == {0}


def test_numbers() -> None:
    result = Result(CHANGES, amount=Amount(3, 14), flows=2)
    assert result.counts() == {"added": 1, "modified": 1, "removed": 2, "lines": 3, "bytes": 14, "flows": 2}
    assert result.summary() == "changed=4 added=1 modified=1 removed=2 lines=3 bytes=14 flows=2"


def test_lines() -> None:
    assert (
        Result(CHANGES).diff()
        == list(lines(CHANGES))
        == [
            "add chain A",
            "  + a",
            "  + b",
            "change chain B",
            "  - old",
            "  + new",
            "remove chain C",
            "  - x",
            "remove chain D",
        ]
    )


def test_why() -> None:
    """As module difference says it, of the files before and after."""
    before, after = {"settings.json": '{"backend": "a"}'}, {"settings.json": '{"backend": "b"}'}
    assert Result(CHANGES, before=before, wanted=after).reasons() == ["backend: a is in force, b is wanted"]
    assert Result(CHANGES, before=before, wanted=after).services() == Result().reasons() == []
