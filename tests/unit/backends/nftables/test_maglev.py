"""Consistent hashing: even shares, few clients that move, and load balancers that agree."""

from __future__ import annotations

import collections

import pytest

from sluice.backends.nftables import maglev


def endpoints(count: int) -> dict[str, int]:
    return {f"10.0.{number // 200}.{number % 200 + 1}:80": 1 for number in range(count)}


@pytest.mark.parametrize("count", [2, 5, 20, 21, 60])
def test_shares_are_even_and_few_clients_move(count: int) -> None:
    weights = endpoints(count)
    size = maglev.slots_for(count)
    table = maglev.table(weights, weights, size)
    shares = collections.Counter(table)
    assert max(shares.values()) - min(shares.values()) <= 0.01 * size / count + 2
    gone = next(iter(weights))
    left = {name: weight for name, weight in weights.items() if name != gone}
    moved = sum(map(str.__ne__, table, maglev.table(left, left, size))) / size
    assert 1 / count - 0.001 <= moved <= 1 / count + 0.01


def test_who_takes_an_endpoint_for_dead_moves_its_clients_only() -> None:
    weights = endpoints(8)
    size = maglev.slots_for(8)
    one, two, *_rest = weights
    whole = maglev.table(weights, weights, size)
    without_one = maglev.table(weights, weights.keys() - {one}, size)
    without_both = maglev.table(weights, weights.keys() - {one, two}, size)
    assert all(a == b for a, b in zip(whole, without_one) if a != one)
    assert all(a == b for a, b in zip(whole, without_both) if a not in (one, two))
    shares = collections.Counter(without_both)
    assert max(shares.values()) / min(shares.values()) < 1.1


def test_weights() -> None:
    weights = {"a:1": 4, "b:1": 2, "c:1": 1, "d:1": 0}
    shares = collections.Counter(maglev.table(weights, weights, maglev.SMALL))
    assert shares["d:1"] == 0
    assert [round(shares[name] / maglev.SMALL * 7, 2) for name in ("a:1", "b:1", "c:1")] == [4, 2, 1]


@pytest.mark.parametrize("size", [maglev.SMALL, maglev.LARGE])
def test_sizes_are_primes(size: int) -> None:
    """Else an order of slots would not reach all of them."""
    assert all(size % divisor for divisor in range(2, int(size**0.5) + 1))
