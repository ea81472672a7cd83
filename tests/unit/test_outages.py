"""What is out, in words."""

from __future__ import annotations

from sluice.outages import NO_OUTAGES, Outages


def test_a_line_for_each_in_order() -> None:
    assert NO_OUTAGES.lines == []
    assert Outages(frozenset(("fd00::1", "10.0.0.2", "10.0.0.1"))).lines == [
        "10.0.0.1 is drained",
        "10.0.0.2 is drained",
        "fd00::1 is drained",
    ]
