"""What may become part of a rule: names, numbers, addresses, and nothing that is anything else besides."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import strategies

from sluice import forms
from sluice.addresses import FAMILIES, IPV4, IPV6
from sluice.forms import Check, FormError

NUMBERS = (True, 1.0, None, [], {}, 10**400, float("nan"))

CASES: dict[str, tuple[Check, tuple[Any, ...], tuple[Any, ...]]] = {
    "label": (forms.matching(forms.LABEL), ("a", "web-1"), ("Web", "-a", "a-", "a" * 64, 1)),
    "subdomain": (forms.matching(forms.SUBDOMAIN), ("a.b", "web"), ("a..b", "a" * 254, 1)),
    "service port": (
        forms.matching(forms.SERVICE_PORT),
        ("shop/web", "shop/web:http", "shop/web:"),
        ("web", "shop/web:a:b", "shop/web -j", "shop/web\n"),
    ),
    "address": (
        forms.address,
        ("10.0.0.1", "fd00::1", "255.255.255.255", "::"),
        ("010.0.0.1", "10.0.0.256", "10.0.0", "fd00::0:1", "FD00::1", "fe80::1%eth0", "10.0.0.1/32"),
    ),
    "IPv4": (forms.ADDRESS[IPV4], ("10.0.0.1",), ("fd00::1", "10.0.0.1\n10.0.0.2", "10.0.0.1\n")),
    "IPv6": (forms.ADDRESS[IPV6], ("fd00::1",), ("10.0.0.1", "fd00::1\n")),
    "IPv4 target": (forms.TARGET[IPV4], ("10.0.0.1:80",), ("fd00::1", "10.0.0.1:80\n10.0.0.2:80", "10.0.0.1\n", "\n")),
    "IPv6 target": (forms.TARGET[IPV6], ("[fd00::1]:80", "fd00::1"), ("[fd00::1]:80 -j", "FD00::1", "fd00::1\n")),
    "network": (forms.network, ("10.0.0.0/8", "fd00::/8"), ("10.0.0.1/8", "10.0.0.0", "10.0.0.0/33")),
    "port": (forms.port, (1, 65535), (0, 65536, -1, "80")),
    "flag": (forms.flag, (True, False), (0, 1, "true")),
    "choice": (forms.among(("tcp", "udp")), ("tcp",), ("TCP", "")),
    "optional": (forms.optional(forms.port, None), (None, 80), (0, "")),
    "several": (forms.several(forms.port), ([], [80, 81], (80,)), (80, [0], [[80]], None, "80")),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_of_a_form(name: str) -> None:
    check, good, bad = CASES[name]
    assert check(())
    assert check(good)
    assert check(good * 3)
    for value in (*bad, *(value for value in strategies.NASTY if name != "optional"), [[]], {}):
        assert not check([value]), value
        assert not check([*good, value]), value
        assert not check([value, *good]), value


@pytest.mark.parametrize("check", [forms.text, forms.port, forms.address, forms.network, *forms.TARGET.values()])
def test_no_type_passes_for_another(check: Check) -> None:
    assert not any(check([value]) for value in NUMBERS)


class Row(NamedTuple):
    """A row to check."""

    name: str
    port: int


ROWS = forms.rows(Row, {"name": forms.matching(forms.LABEL), "port": forms.port})


def test_rows_are_what_their_fields_are() -> None:
    assert all(map(ROWS, ([], [Row("a", 1)], [["a", 1]], (("a", 1), ["b", 2]))))
    for bad, field in (
        (Row("a", 0), "Row.port"),
        (Row("A", 1), "Row.name"),
        (("a",), "Row"),
        (["a", 1, 1], "Row"),
        ("a1", "Row"),
        (None, "Row"),
        (3, "Row"),
        ({"name": "a", "port": 1}, "Row"),
    ):
        with pytest.raises(FormError, match=f"^{field}$"):
            ROWS([Row("a", 1), bad])


def test_no_field_is_forgotten() -> None:
    with pytest.raises(AssertionError, match="each field of Row"):
        forms.rows(Row, {"name": forms.text})


def test_families() -> None:
    assert set(forms.ADDRESS) == set(forms.TARGET) == set(FAMILIES)
