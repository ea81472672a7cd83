"""Numbers: no two names have the same one, and a name that is in the kernel keeps its own, whatever comes and goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.backends.nftables import numbers

NAMES = st.sets(st.text("abc", min_size=1, max_size=3), max_size=12)


@given(names=NAMES)
def test_each_name_has_its_own(names: set[str]) -> None:
    found = numbers.numbered(names, 16, 12)
    assert found.keys() == names
    assert len(set(found.values())) == len(names)
    assert set(found.values()) <= set(range(16, 28))
    assert found == numbers.numbered(sorted(names, reverse=True), 16, 12)


def test_there_are_only_so_many() -> None:
    with pytest.raises(ValueError, match="more than 2"):
        numbers.numbered("abc", 1, 2)


@given(steps=st.lists(NAMES, min_size=1, max_size=8))
def test_what_stays_keeps_its_number(steps: list[set[str]]) -> None:
    """All of them are looked at each time, as after a reading of the kernel."""
    kernel: dict[str, int] = {}
    for names in steps:
        wanted = numbers.numbered(names, 1, 12)
        other = numbers.kept(wanted, {name: kernel[name] for name in names if name in kernel}, {})
        now = {name: other.get(number, number) for name, number in wanted.items()}
        assert len(set(now.values())) == len(now)
        assert all(now[name] == kernel[name] for name in names if name in kernel)
        kernel = now


@given(steps=st.lists(NAMES, min_size=1, max_size=8))
def test_only_names_that_differ_are_looked_at(steps: list[set[str]]) -> None:
    """As where the last files are known: a name whose number in the files is the same is in neither of both."""
    kernel: dict[str, int] = {}
    last: dict[str, int] = {}
    others: dict[int, int] = {}
    for names in steps:
        wanted = numbers.numbered(names, 1, 12)
        same = {name for name in names if last.get(name) == wanted[name]}
        gone = {number for name, number in last.items() if name not in same}
        others = numbers.kept(
            {name: number for name, number in wanted.items() if name not in same},
            {name: kernel[name] for name in last if name not in same},
            {number: own for number, own in others.items() if number not in gone},
        )
        now = {name: others.get(number, number) for name, number in wanted.items()}
        assert len(set(now.values())) == len(now)
        assert all(now[name] == kernel[name] for name in names if name in kernel)
        kernel, last = now, wanted
