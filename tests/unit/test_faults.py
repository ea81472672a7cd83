"""What a fault looks like."""

from __future__ import annotations

from sluice.faults import Fault, InputError, printable


def test_a_fault_is_one_line() -> None:
    fault = Fault("a\nb", 1, "Service \x1b[31m", "x\r", "\u2028 é \ud800")
    assert str(fault) == "a\\nb:1: Service \\x1b[31m: x\\r: \\u2028 é \\ud800"


def test_parts_that_do_not_apply_are_left_out() -> None:
    assert str(Fault("inventory", 0, "", "", "is missing")) == "inventory: is missing"
    whole = Fault("a.yml", 3, "Service shop/web", "spec.type", "is odd", warning=True)
    assert str(whole) == "a.yml:3: Service shop/web: spec.type: warning: is odd"


def test_printable_text_stays_as_it_is() -> None:
    assert printable("Größe 10 €") == "Größe 10 €"
    assert printable("a\tb\x7f") == "a\\tb\\x7f"


def test_an_error_holds_every_fault() -> None:
    faults = [Fault("a", 1, "", "", "x"), Fault("a", 2, "", "", "y", warning=True)]
    error = InputError(iter(faults))
    assert error.faults == faults
    assert str(error) == "a:1: x\na:2: warning: y"
