"""When the source ports of checks that conntrack does not see can be used."""

from __future__ import annotations

import pytest

from sluice.notrack import clash


@pytest.mark.parametrize(
    ("given", "reserved"),
    [
        ("32768\t60999", ""),
        ("1024 61439", "\n"),
        ("61696 65535", "80"),
        ("1024 65535", "61440-61695"),
        ("1024 65535", "8080,61000-61500,61501-62000"),
        ("61440 61440", "61440"),
    ],
)
def test_free(given: str, reserved: str) -> None:
    assert clash(given, reserved) == ""


@pytest.mark.parametrize(
    ("given", "reserved"),
    [("1024 65535", ""), ("1024 61440", ""), ("61695 61700", "61440-61694"), ("1024 65535", "61440,61442-61695")],
)
def test_given_to_others(given: str, reserved: str) -> None:
    low, high = given.split()
    assert clash(given, reserved) == (
        f"net.ipv4.ip_local_port_range is {low} to {high}: have 61440-61695 in net.ipv4.ip_local_reserved_ports"
    )
