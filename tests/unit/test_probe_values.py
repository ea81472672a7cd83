"""Each value of a probe's field: what is taken, in which form, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import probe_values as values
from sluice.probe_values import Reader, WrongError

A_LABEL = "a" * 63


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (values.port, 65535, 65535),
        (values.port, "dns-tcp", "dns-tcp"),
        (values.domain, "example.org.", "example.org."),
        (values.domain, f"{A_LABEL}.{A_LABEL}", f"{A_LABEL}.{A_LABEL}"),
        (values.seconds(0.1, 3600), 0.25, 250),
        (values.seconds(0.1, 3600), 0.3, 300),
        (values.file, "/usr/local/lib/check", "/usr/local/lib/check"),
        (values.command, ["/bin/x", "", "{address}", "ä"], ("/bin/x", "", "{address}", "ä")),
        (values.on_all_down, "open", "open"),
        (values.on_all_down, "sorry: 192.0.2.9:80", "192.0.2.9:80"),
        (values.on_all_down, {"sorry": "[2001:DB8::1]:80"}, "[2001:db8::1]:80"),
        (values.payload, "hex: 00ff", "hex: 00ff"),
    ],
)
def test_what_is_taken(read: Reader, value: Any, found: Any) -> None:
    assert read(value) == found


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (values.text, "\ud800", "half a character"),
        (values.port, "80", "must be a number or the name"),
        (values.port, 1.0, "must be a whole number"),
        (values.domain, f"{A_LABEL}a.b", "must be a domain name"),
        (values.domain, ".".join([A_LABEL] * 4), "must be a domain name"),
        (values.seconds(0.1, 3600), 0.0001, "must be a number from 0.1 to 3600"),
        (values.seconds(0.1, 3600), 1.0005, "must be a number from 0.1 to 3600, in steps of 0.001"),
        (values.seconds(0.1, 3600), float("inf"), "must be a number"),
        (values.seconds(0.1, 3600), "1", "must be a number"),
        (values.file, "check", "must be an absolute path"),
        (values.file, "/usr/../tmp/x", "must be an absolute path"),
        (values.file, "/usr//x", "must be an absolute path"),
        (values.file, "/", "must be an absolute path"),
        (values.command, "/bin/true", "must be a list"),
        (values.command, [], "must be a list"),
        (values.command, ["/bin/{port}"], "cannot choose the program"),
        (values.command, ["/bin/x", "\0"], "holds a NUL"),
        (values.command, ["/bin/x", 5], "must be a text"),
        (values.command, ["/bin/x", "a" * 4096], "is longer than 4096"),
        (values.on_all_down, "sorry: shop.example:80", "must be open, closed, or sorry"),
        (values.on_all_down, "sorry: 192.0.2.9", "must be open, closed, or sorry"),
        (values.on_all_down, "sorry: 192.0.2.9:0", "must be open, closed, or sorry"),
        (values.payload, "hex:0", "must have pairs of hexadecimal digits"),
        (values.payload, "ä" * 617, "is longer than 1232 bytes"),
    ],
)
def test_what_is_not(read: Reader, value: Any, message: str) -> None:
    with pytest.raises(WrongError, match=message):
        read(value)


def test_octets() -> None:
    assert values.octets("ä") == b"\xc3\xa4"
    assert values.octets("hex:00 ff") == b"\0\xff"


def test_messages_are_one_short_line() -> None:
    for value in ("a\nb" * 99, "x" * 99, ["y"], 10**90):
        assert "\n" not in values.shown(value)
        assert len(values.shown(value)) <= 60
