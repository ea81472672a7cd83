"""When something is due, for tens of thousands of things that wait for one of a few times."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Timers(Generic[Item]):
    """Things by when they are due. What waits equally long is due in the order in which it came: no sorting.

    Times are seconds of any one clock.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, deque[tuple[float, Item]]] = {}

    def add(self, delay: int, due: float, item: Item) -> None:
        """``item`` is due at ``due``, no earlier than whatever was added with this ``delay`` before."""
        queue = self._waiting.get(delay)
        if queue is None:
            queue = self._waiting[delay] = deque()
        queue.append((due, item))

    def fill(self, delay: int, items: Iterable[tuple[float, Item]]) -> None:
        """Have just these ``items`` wait for ``delay``, in any order."""
        self._waiting[delay] = deque(sorted(items, key=lambda entry: entry[0]))

    def pop(self, now: float) -> Iterator[tuple[int, float, Item]]:
        """Take what is due at ``now``: the delay, when it was due, the item. More may be added meanwhile.

        Whoever does not take all begins with what waits for longest the next time.
        """
        ready = [(queue[0][0], delay, queue) for delay, queue in self._waiting.items() if queue and queue[0][0] <= now]
        for _due, delay, queue in sorted(ready, key=lambda entry: entry[:2]):
            while queue and queue[0][0] <= now:
                due, item = queue.popleft()
                yield delay, due, item

    def next(self) -> float | None:
        """When the next thing is due; None where nothing waits."""
        return min((queue[0][0] for queue in self._waiting.values() if queue), default=None)

    def keep(self, delays: Iterable[int]) -> None:
        """Forget all that waits for other delays than these."""
        for delay in set(self._waiting).difference(delays):
            del self._waiting[delay]


def phase(node: str, check: tuple[str, int, str]) -> tuple[float, int]:
    """Where in its period a check has its turn, from 0 up to 1, and another number that has nothing to do with that.

    So nodes that ask the same do not knock together.
    """
    said = "\0".join((node, *map(str, check))).encode()
    digest = hashlib.blake2b(said, digest_size=6).digest()
    return int.from_bytes(digest[:4], "big") / 2**32, int.from_bytes(digest[4:], "big")


def turn(now: float, period: float, part: float) -> float:
    """The first turn after ``now`` of what has its turns every ``period`` seconds, ``part`` of it after its start."""
    rounds = (now / period) - part
    return (rounds // 1 + 1 + part) * period
