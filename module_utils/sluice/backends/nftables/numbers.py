"""Numbers for names: Services in a table, endpoints in a Service with session affinity.

A rule set that is written to files numbers by hash, so the same catalogue gives the same file everywhere. What the
kernel holds keeps its number whatever the files say: affinity is remembered by these numbers, and every element of a
Service has its number in it. ``kept`` says how numbers of the files become numbers of the kernel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping


def numbered(names: Iterable[str], low: int, count: int) -> dict[str, int]:
    """A number from ``low`` to ``low + count - 1`` for each name: that of its hash, or the next one that is free.

    The order of ``names`` does not count. Raises ValueError where there are more names than numbers.
    """
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(names):
        if len(taken) == count:
            raise ValueError(f"more than {count:,}")
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % count
        while number in taken:
            number = (number + 1) % count
        taken.add(number)
        found[name] = number + low
    return found


def kept(wanted: Mapping[str, int], held: Mapping[str, int], others: Mapping[int, int]) -> dict[int, int]:
    """The number in the kernel of each number in the files that is not the same there.

    ``wanted``: numbers of the files, by name. ``held``: numbers of the kernel, by name. ``others``: what this function
    gave before, for names that are not among these and stay as they are. A name that is held keeps its number. A new
    one gets that of the files; where an older name keeps that, it gets one that the files give to somebody who does
    not use it in the kernel.
    """
    found = {number: held[name] for name, number in wanted.items() if name in held}
    taken = {*found.values(), *others.values()}
    new = [number for name, number in sorted(wanted.items()) if name not in held]
    ousted = [number for number in new if number in taken]
    taken.update(new)
    free = sorted({*wanted.values(), *others} - taken, reverse=True)
    found.update((number, free.pop()) for number in ousted)
    return {**others, **{number: own for number, own in found.items() if number != own}}
