"""Consistent hashing: even shares, few clients that move, and load balancers that agree."""

from __future__ import annotations

import collections
import itertools

import pytest

from sluice.backends.nftables import maglev


def endpoints(count: int) -> dict[str, int]:
    return {f"10.0.{number // 200}.{number % 200 + 1}:80": 1 for number in range(count)}


@pytest.mark.parametrize("count", [*range(2, 51), 60])
def test_shares_are_even_and_few_clients_move(count: int) -> None:
    weights = endpoints(count)
    size = maglev.slots_for(count)
    table = maglev.table(weights, weights, size)
    shares = collections.Counter(table)
    assert max(shares.values()) - min(shares.values()) <= 0.01 * size / count + 2
    gone = list(weights)[count // 2]
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


def test_load_balancers_that_differ_about_health_agree_about_the_others() -> None:
    """Each takes another endpoint for dead: a client whose endpoint lives for both is sent there by both."""
    weights = {**endpoints(7), "10.1.0.1:80": 3}
    size = maglev.slots_for(len(weights))
    whole = maglev.table(weights, weights, size)
    without = {name: maglev.table(weights, weights.keys() - {name}, size) for name in weights}
    for one, two in itertools.combinations(weights, 2):
        assert {owner for owner, a, b in zip(whole, without[one], without[two]) if a != b} == {one, two}
    assert all(name not in table for name, table in without.items())


@pytest.mark.parametrize("count", [3, 20, 30, 50])
def test_shares_are_as_the_weights_are(count: int) -> None:
    """Within 1 %."""
    weights = {name: 1 + number % 5 for number, name in enumerate(endpoints(count))}
    size = maglev.slots_for(count)
    shares = collections.Counter(maglev.table(weights, weights, size))
    for name, weight in weights.items():
        assert shares[name] / size == pytest.approx(weight / sum(weights.values()), rel=0.01)


@pytest.mark.parametrize("weights", [(3333, 3334, 3333), (5461, 5462), (65535, 1, 1), (100, 99, 97)])
def test_shares_are_as_large_weights_are(weights: tuple[int, ...]) -> None:
    """To about one slot."""
    by_name = dict(zip("abc", weights))
    shares = collections.Counter(maglev.table(by_name, by_name, maglev.SMALL))
    for name, weight in by_name.items():
        assert shares[name] == pytest.approx(weight * maglev.SMALL / sum(weights), abs=2)


def test_weights() -> None:
    weights = {"a:1": 4, "b:1": 2, "c:1": 1, "d:1": 0}
    shares = collections.Counter(maglev.table(weights, weights, maglev.SMALL))
    assert shares["d:1"] == 0
    assert [round(shares[name] / maglev.SMALL * 7, 2) for name in ("a:1", "b:1", "c:1")] == [4, 2, 1]


@pytest.mark.parametrize("size", [maglev.SMALL, maglev.LARGE])
def test_sizes_are_primes(size: int) -> None:
    """Else an order of slots would not reach all of them."""
    assert all(size % divisor for divisor in range(2, int(size**0.5) + 1))
