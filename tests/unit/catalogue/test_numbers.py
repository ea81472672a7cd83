"""Numbers, each given away once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalogue import numbers
from sluice.catalogue.numbers import Numbers

RANGES = st.lists(
    st.integers(0, 60).flatmap(lambda low: st.tuples(st.just(low), st.integers(low, low + 30))), max_size=4
)


@pytest.mark.parametrize(
    ("size", "addresses", "ports"),
    [
        (0, 0, 0),
        (8, 0, 0),
        (15, 0, 0),
        (16, 16, 16),
        (256, 16, 16),
        (1024, 64, 32),
        (2768, 173, 86),
        (1 << 20, 256, 128),
    ],
)
def test_what_is_reserved(size: int, addresses: int, ports: int) -> None:
    """The tables of KEP-3070 and KEP-3668."""
    assert (numbers.ADDRESSES(size), numbers.NODE_PORTS(size)) == (addresses, ports)


def test_the_reserved_ones_come_last() -> None:
    found = Numbers([(0, 31), (100, 131)], lambda size: 8)
    order = [found.choose(f"key {n}") for n in range(64)]
    assert set(order[:24]) == set(range(8, 32))
    assert set(order[24:48]) == set(range(108, 132))
    assert set(order[48:56]) == set(range(8))
    assert set(order[56:]) == set(range(100, 108))
    assert found.choose("one more") is None


def test_a_range_more_moves_nobody() -> None:
    for more in ([], [(1000, 1999)]):
        found = Numbers([(0, 99), *more], numbers.ADDRESSES)
        assert [found.choose(name) for name in ("a", "b")] == [
            Numbers([(0, 99)], numbers.ADDRESSES).choose(name) for name in ("a", "b")
        ]


@given(RANGES, st.sets(st.integers(0, 100)), st.integers(0, 5))
def test_each_once_until_none_is_left(ranges: list[tuple[int, int]], taken: set[int], barred: int) -> None:
    """Whatever the ranges, also where they overlap: all that may be given is, and nothing else."""
    found = Numbers(ranges, lambda size: size // 3, lambda number: number % 6 == barred)
    for number in taken:
        found.take(number)
    wanted = {n for low, high in ranges for n in range(low, high + 1) if n not in taken and n % 6 != barred}
    chosen = [found.choose(f"key {n}") for n in range(len(wanted))]
    assert set(chosen) == wanted
    assert found.choose("one more") is None
    assert all(number in found for number in wanted)
    assert 10**6 not in found
