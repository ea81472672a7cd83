"""What a fault looks like."""

from __future__ import annotations

from sluice.faults import Fault


def test_a_fault_is_one_line() -> None:
    fault = Fault("a\nb", 1, "Service \x1b[31m", "x\r", "\u2028 é \ud800")
    assert str(fault) == "a\\nb:1: Service \\x1b[31m: x\\r: \\u2028 é \\ud800"
