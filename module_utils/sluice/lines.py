"""Where two long texts differ, found without looking at every line of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_BLOCK = 1 << 16
"""Characters that are compared at once."""


class Piece(NamedTuple):
    """Lines of a text: ``begin`` and ``end`` are where lines start. No copy: texts have tens of megabytes."""

    text: str
    begin: int
    end: int

    def __str__(self) -> str:
        return self.text[self.begin : self.end]


def middles(before: Piece, after: Piece) -> tuple[Piece, Piece]:
    """The lines of two pieces between their common start and their common end."""
    old, new = before.text, after.text
    shortest = min(before.end - before.begin, after.end - after.begin)
    begin = shared(
        shortest,
        lambda low, high: old[before.begin + low : before.begin + high] == new[after.begin + low : after.begin + high],
    )
    begin = old.rfind("\n", before.begin - 1, before.begin + begin) + 1 - before.begin  # whole lines
    end = shared(
        shortest - begin,
        lambda low, high: old[before.end - high : before.end - low] == new[after.end - high : after.end - low],
    )
    if not (old.startswith("\n", before.end - end - 1) and new.startswith("\n", after.end - end - 1)):
        end = before.end - ((old.find("\n", before.end - end, before.end) + 1) or before.end)
    return (
        Piece(old, before.begin + begin, before.end - end),
        Piece(new, after.begin + begin, after.end - end),
    )


def shared(most: int, same: Callable[[int, int], bool]) -> int:
    """How far two texts are the same, ``most`` at most: by blocks, then by halving. ``same`` compares a range."""
    low = 0
    while low < most and same(low, min(low + _BLOCK, most)):
        low = min(low + _BLOCK, most)
    high = min(low + _BLOCK, most)
    while low < high:
        middle = (low + high + 1) // 2
        if same(low, middle):
            low = middle
        else:
            high = middle - 1
    return low
