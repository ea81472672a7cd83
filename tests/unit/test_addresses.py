"""Addresses and networks come out in the one form that the kernel's tools print, or not at all."""

from __future__ import annotations

import pytest

from sluice import addresses
from sluice.addresses import IPV4, IPV6


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("FD00:0:0::1", "fd00::1"),
        ("::ffff:10.0.0.1", ""),
        ("::ffff:0:10.0.0.1", "::ffff:0:a00:1"),
        ("64:ff9b::10.0.0.1", "64:ff9b::a00:1"),
        ("010.0.0.1", ""),
        ("10.0.0", ""),
        ("10.0.0.1/32", ""),
        ("fe80::1%eth0", ""),
        ("10.0.0.1\0", ""),
        (" 10.0.0.1", ""),
        ("", ""),
        (10, ""),
        (None, ""),
    ],
)
def test_address(text: object, canonical: str) -> None:
    assert addresses.address(text) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("fd00::1/64", "fd00::/64"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.1", ""),
        ("10.0.0.0/33", ""),
        ("10.0.0.0/255.0.0.0", ""),
        ("10.0.0.0/²", ""),
        ("fe80::%x/64", ""),
        ("/8", ""),
        (8, ""),
    ],
)
def test_network(text: object, canonical: str) -> None:
    assert addresses.network(text) == canonical


@pytest.mark.parametrize(
    ("text", "ipv4"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("0::FFFF:a00:1", "10.0.0.1"),
        ("::ffff:0:a00:1", ""),
        ("fd00::1", ""),
        ("10.0.0.1", ""),
        ("a\0", ""),
        ("\ud800", ""),
    ],
)
def test_ipv4_in_ipv6_s_form(text: str, ipv4: str) -> None:
    assert addresses.mapped(text) == ipv4


def test_families_are_told_apart() -> None:
    mixed = ["fd00::1", "10.0.0.1", "10.0.0.2"]
    assert [addresses.family_of(text) for text in mixed] == [IPV6, IPV4, IPV4]
    assert (addresses.first(mixed, IPV4), addresses.first(mixed, IPV6)) == ("10.0.0.1", "fd00::1")
    assert addresses.first(["10.0.0.1"], IPV6) == ""
    assert [addresses.host_network(text) for text in mixed[:2]] == ["fd00::1/128", "10.0.0.1/32"]


def test_an_address_is_in_networks_of_its_family_only() -> None:
    assert addresses.contains("10.0.0.0/8", "10.255.255.255")
    assert not addresses.contains("10.0.0.0/8", "11.0.0.0")
    assert addresses.contains("::/0", "fd00::1")
    assert not addresses.contains("::/0", "10.0.0.1")


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "127.0.0.2", "169.254.1.1", "224.0.0.251", "::", "::1", "fe80::1", "febf::1", "ff02::1"]
)
def test_what_means_something_here_only(text: str) -> None:
    assert addresses.is_special(text)
    assert addresses.is_loopback(text) == (text in ("127.0.0.2", "::1"))


@pytest.mark.parametrize("text", ["0.0.0.1", "128.0.0.1", "169.253.1.1", "224.0.1.1", "::2", "fec0::1", "ff05::1"])
def test_what_others_reach(text: str) -> None:
    assert not addresses.is_special(text)


@pytest.mark.parametrize(("address", "text"), [("10.0.0.1", "10.0.0.1:80"), ("fd00::1", "[fd00::1]:80")])
def test_what_is_joined_is_split(address: str, text: str) -> None:
    assert addresses.host_port(address, 80) == text
    assert addresses.split_port(text) == (address, 80)


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.1:", "[fd00::1]", ""])
def test_where_no_port_is(text: str) -> None:
    with pytest.raises(ValueError):
        addresses.split_port(text)
