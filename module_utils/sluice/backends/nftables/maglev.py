"""Consistent hashing: the table of Maglev (Eisenbud et al., NSDI 2016, section 3.4), in two rounds.

Each endpoint prefers the slots in an order of its own, which comes from its address alone; in turns they take the best
one that is left. The first round is of all endpoints that the catalogue has, in the second those that can be used share
the slots of those that cannot. So a load balancer that takes an endpoint for dead moves the clients of that one only,
and load balancers that do not agree about it send all other clients to the same endpoints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

SMALL, LARGE = 16381, 65521
"""Slots, which are primes: many more than endpoints, so that shares are even and few clients move."""

_SMALL_UP_TO = 20
"""Endpoints up to which SMALL is enough: with N of them, at most 1/N + 1 % of the clients move when one is removed."""


def slots_for(endpoints: int) -> int:
    """How many slots a table has for so many endpoints of the catalogue."""
    return SMALL if endpoints <= _SMALL_UP_TO else LARGE


def table(weights: Mapping[str, int], usable: Collection[str], size: int) -> list[str]:
    """The endpoint of each slot.

    ``weights``: in each turn an endpoint takes so many slots; those of 0 take none. ``usable``: those that may stand in
    the table; at least one of them has a weight.
    """
    taking = {name: weight for name, weight in weights.items() if weight}
    found = _fill([""] * size, taking)
    if taking.keys() <= set(usable):
        return found
    left = [name if name in usable else "" for name in found]
    return _fill(left, {name: weight for name, weight in taking.items() if name in usable})


def _fill(found: list[str], weights: Mapping[str, int]) -> list[str]:
    """``found`` with an endpoint in each empty slot."""
    size, empty = len(found), found.count("")
    places, steps = {}, {}
    for name in sorted(weights):
        digest = hashlib.sha256(name.encode()).digest()
        places[name] = int.from_bytes(digest[:8], "big") % size
        steps[name] = int.from_bytes(digest[8:16], "big") % (size - 1) + 1
    while empty:
        for name, step in steps.items():
            at = places[name]
            for _turn in range(min(weights[name], empty)):
                while found[at]:
                    at = (at + step) % size
                found[at] = name
                empty -= 1
            places[name] = at
    return found
