"""Numbers of some ranges, each given away once: addresses and node ports."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Callable

PROBES = 8
"""How many times a hash is asked before the next free number is searched."""

Range = tuple[int, int]
"""The first and the last number."""


def nothing(_number: int) -> bool:
    """No number is barred."""
    return False


class Numbers:
    """The numbers of ``ranges``, and which of them are taken.

    ``reserve``: how many at the beginning of a range of this size are chosen last, so that what people declare by hand
    seldom meets what was chosen. ``barred``: numbers that are never chosen.
    """

    def __init__(
        self,
        ranges: Iterable[Range],
        reserve: Callable[[int], int],
        barred: Callable[[int], bool] = nothing,
    ) -> None:
        self.ranges = list(ranges)
        self._barred = barred
        upper, lower = [], []
        for first, last in self.ranges:
            edge = first + reserve(last - first + 1)
            upper.append((edge, last))
            lower.append((first, edge - 1))
        self._bands = [(first, last) for first, last in (*upper, *lower) if first <= last]
        self._used = [0] * len(self._bands)
        self._taken: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.ranges)

    @property
    def size(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def take(self, number: int) -> None:
        """Nobody else gets ``number``; it need not be in a range."""
        if number in self._taken:
            return
        self._taken.add(number)
        for place, (first, last) in enumerate(self._bands):
            self._used[place] += first <= number <= last

    def choose(self, key: str) -> int | None:
        """A free number for ``key``, which is taken then; None where there is none.

        The same for the same key on any machine, as long as it meets no other's.
        """
        for place, (first, last) in enumerate(self._bands):
            width = last - first + 1
            if self._used[place] >= width:
                continue
            start = 0
            for attempt in range(PROBES):
                start = int.from_bytes(hashlib.sha256(f"{key} {attempt}".encode()).digest(), "big") % width
                if self._free(first + start):
                    break
            for step in range(width):
                number = first + (start + step) % width
                if self._free(number):
                    self.take(number)
                    return number
        return None

    def _free(self, number: int) -> bool:
        return number not in self._taken and not self._barred(number)


def reserve(low: int, high: int, share: int) -> Callable[[int], int]:
    """A ``share`` of a range is reserved, ``low`` numbers at least and ``high`` at most; none of a small one."""
    return lambda size: 0 if size < low else min(max(low, size // share), high)


ADDRESSES = reserve(16, 256, 16)
"""Of addresses (KEP-3070)."""

NODE_PORTS = reserve(16, 128, 32)
"""Of node ports (KEP-3668)."""
