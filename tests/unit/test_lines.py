"""Where texts differ is found in whole lines, whatever they are."""

from __future__ import annotations

import pytest

from sluice.lines import Piece, middles, shared


def different(old: str, new: str) -> tuple[str, str]:
    """The same with something before and behind, which is not to be looked at."""
    pieces = [Piece(f"head\n{text}tail\n", 5, 5 + len(text)) for text in (old, new)]
    before, after = middles(*pieces)
    return str(before), str(after)


@pytest.mark.parametrize(
    ("old", "new", "middle"),
    [
        ("a\nb\nc\n", "a\nx\nc\n", ("b\n", "x\n")),
        ("a\nc\n", "a\nb\nc\n", ("", "b\n")),
        ("a\n", "", ("a\n", "")),
        ("", "", ("", "")),
        ("a\na\n", "a\n", ("a\n", "")),
        ("abc\n", "abd\n", ("abc\n", "abd\n")),
        ("bc\n", "abc\n", ("bc\n", "abc\n")),
    ],
)
def test_whole_lines(old: str, new: str, middle: tuple[str, str]) -> None:
    assert different(old, new) == middle
    assert different(new, old) == middle[::-1]


def test_long_texts() -> None:
    lines = [f"line {number}\n" for number in range(50_000)]
    other = [*lines[:30_000], "another\n", *lines[30_001:]]
    assert different("".join(lines), "".join(other)) == ("line 30000\n", "another\n")


@pytest.mark.parametrize("length", [0, 1, 65535, 65536, 65537, 200_000])
def test_how_far(length: int) -> None:
    assert shared(300_000, lambda _low, high: high <= length) == length
