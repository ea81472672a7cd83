"""Pools of addresses, as a setting holds them."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import pools
from sluice.pools import Pool

FULL = {
    "name": "public",
    "addresses": ["203.0.113.0/28", "fd00::10-fd00::1f"],
    "auto": False,
    "namespaces": ["shop"],
    "selector": {"tier": "web"},
    "avoid_buggy_ips": True,
}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.9/24", "192.0.2.0/24"),
        ("192.0.2.9", "192.0.2.9/32"),
        ("FD00::/64", "fd00::/64"),
        ("192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9"),
        ("192.0.2.1 \N{EN DASH} 192.0.2.9", "192.0.2.1-192.0.2.9"),
        ("FD00::1-FD00::2", "fd00::1-fd00::2"),
        ("192.0.2.9-192.0.2.1", ""),
        ("192.0.2.1-fd00::1", ""),
        ("192.0.2.1-", ""),
        ("-", ""),
        ("web", ""),
        (5, ""),
    ],
)
def test_block(text: object, canonical: str) -> None:
    assert pools.block(text) == canonical


def test_bounds() -> None:
    assert pools.bounds("192.0.2.0/30") == (0xC0000200, 0xC0000203)
    assert pools.bounds("192.0.2.1-192.0.2.2") == (0xC0000201, 0xC0000202)
    for text, family in (("192.0.2.1", "IPv4"), ("fd00::1", "IPv6"), ("::1", "IPv6")):
        assert pools.address(pools.number(text), family) == text


def test_read_and_back() -> None:
    found = pools.read([FULL, {"name": "lan", "addresses": ["10.0.0.0/24"]}])
    assert found == (
        Pool("public", ("203.0.113.0/28", "fd00::10-fd00::1f"), False, ("shop",), (("tier", "web"),), True),
        Pool("lan", ("10.0.0.0/24",)),
    )
    assert pools.read(pools.to_value(found)) == found
    assert pools.read([]) == ()
    (pool,) = pools.read([{"name": "a", "addresses": "10.0.0.0/24, 10.0.1.1-10.0.1.9"}])
    assert pool.blocks == ("10.0.0.0/24", "10.0.1.1-10.0.1.9")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("public", "must be a list of pools, is 'public'"),
        ({"name": "public"}, "must be a list of pools"),
        (["public"], r"\[0\] must be a mapping with name and addresses, is 'public'"),
        ([{"addresses": ["10.0.0.0/24"]}], r"\[0\].name must be text, is None"),
        ([FULL, FULL], "two pools have the name 'public'"),
        ([{**FULL, "addresses": "web"}], "public: addresses must be a list of CIDRs, or of first-last, is 'web'"),
        ([{**FULL, "addresses": []}], "public: addresses must be a list"),
        ([{**FULL, "addresses": ["10.0.0.0/33"]}], "public: addresses must be a list"),
        ([{**FULL, "auto": "no"}], "public: auto must be true or false, is 'no'"),
        ([{**FULL, "namespaces": "shop"}], "public: namespaces must be a list of names, is 'shop'"),
        ([{**FULL, "selector": ["a"]}], "public: selector must map labels to text"),
        ([{**FULL, "selector": {"a": 1}}], "public: selector must map labels to text"),
        ([{**FULL, "autoassign": True}], "public: there is no 'autoassign': a pool has name, addresses, auto,"),
    ],
)
def test_what_is_no_pool(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pools.read(value)


def test_whose_it_is() -> None:
    (pool,) = pools.read([FULL])
    assert pool.is_for("shop", {"tier": "web", "app": "a"})
    assert not pool.is_for("shop", {"tier": "db"})
    assert not pool.is_for("other", {"tier": "web"})
    assert Pool("lan", ("10.0.0.0/24",)).is_for("other", {})
