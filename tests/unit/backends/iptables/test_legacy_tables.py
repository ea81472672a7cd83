"""Two pieces of the kernel's memory are the same table where all but the counters is the same."""

from __future__ import annotations

import struct

import pytest

from sluice import addresses
from sluice.backends.iptables import legacy_tables
from sluice.backends.iptables.legacy_tables import HEAD, LAYOUTS, Layout, same


@pytest.fixture(params=addresses.FAMILIES)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[str(request.param)]


def rule(layout: Layout, content: bytes = b"", packets: int = 0, length: int | None = None) -> bytes:
    """A rule with ``content`` behind its fixed part, which says that it is ``length`` long."""
    found = bytearray(b"\x5a" * layout.least + content)
    struct.pack_into("=H", found, layout.next_offset, len(found) if length is None else length)
    struct.pack_into("=QQ", found, layout.counters, packets, 60 * packets)
    return bytes(found)


def piece(*rules: bytes) -> bytes:
    return bytes(range(HEAD)) + b"".join(rules)


def test_places_are_those_of_the_kernels_headers(layout: Layout) -> None:
    """struct ipt_entry is ipt_ip (84) and u32, u16, u16, u32, two u64; struct ip6t_entry has ip6t_ip6 (136) first."""
    address = {legacy_tables.LAYOUTS[addresses.IPV4]: 84, legacy_tables.LAYOUTS[addresses.IPV6]: 136}[layout]
    assert layout.next_offset == struct.calcsize(f"@{address}sIH")
    assert layout.counters == struct.calcsize(f"@{address}sIHHI0Q")
    assert layout.least == struct.calcsize(f"@{address}sIHHI2Q")


def test_only_counters_may_differ(layout: Layout) -> None:
    """Every byte of a small table in turn."""
    rules = [rule(layout, b"first in"), rule(layout), rule(layout, b"third and longest, the last one.")]
    kept = piece(*rules)
    counters = set()
    begin = HEAD
    for each in rules:
        counters.update(range(begin + layout.counters, begin + layout.counters + 16))
        begin += len(each)
    for place in range(len(kept)):
        now = bytearray(kept)
        now[place] ^= 1
        assert same(kept, now, layout) == (place in counters), place


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000])
def test_counters_of_many_rules(layout: Layout, count: int) -> None:
    kept = piece(*(rule(layout, bytes(8 * (number % 5))) for number in range(count)))
    now = bytearray(piece(*(rule(layout, bytes(8 * (number % 5)), number) for number in range(count))))
    assert same(kept, bytearray(now), layout)
    now[-1 if (count - 1) % 5 else HEAD] ^= 1
    assert not same(kept, now, layout)


def test_no_rule_hides_in_counters(layout: Layout) -> None:
    """Where the rules of one table begin at other places than those of the other, nothing is left out for it."""
    long, short = rule(layout, bytes(layout.least), 7), rule(layout, b"", 7)
    assert len(long) == 2 * len(short)
    for one, other in ((piece(long), piece(short, short)), (piece(short, short), piece(long))):
        assert not same(one, bytearray(other), layout)


def test_sizes_differ(layout: Layout) -> None:
    assert not same(piece(rule(layout)), bytearray(piece(rule(layout), rule(layout))), layout)
    assert not same(piece(rule(layout), rule(layout)), bytearray(piece(rule(layout))), layout)


BROKEN = {
    "nothing": lambda layout: b"",
    "less than a head": lambda layout: bytes(HEAD - 8),
    "no multiple of eight": lambda layout: piece(rule(layout, b"seven b")),
    "a rule without length": lambda layout: piece(rule(layout, length=0)),
    "a rule that is too short": lambda layout: piece(rule(layout, length=layout.least - 8)),
    "a rule that is longer than the table": lambda layout: piece(rule(layout, length=layout.least + 8)),
    "half a rule at the end": lambda layout: piece(rule(layout), rule(layout)[:-16]),
    "a few bytes at the end": lambda layout: piece(rule(layout), bytes(8)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_table_is_not_the_same(layout: Layout, what: str) -> None:
    """It may be a kernel that has another form: then the rules are read as text."""
    kept = BROKEN[what](layout) or b"something"
    now = bytearray(kept)
    now[-1] ^= 1
    assert not same(kept, now, layout)
    assert not same(kept[: len(kept) // 2], bytearray(kept), layout)
