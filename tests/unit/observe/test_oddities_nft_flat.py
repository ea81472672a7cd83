"""Sluice's flat nftables table, as the kernel lists it, with one of its rules taken away."""

from __future__ import annotations

import json
from typing import Any

import pytest
import support
from planted import odd, said

from sluice import render
from sluice.backends.interface import Memo
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture(scope="module")
def listed() -> list[dict[str, Any]]:
    balanced = support.service(
        "fenced",
        ip="10.96.0.4",
        type="LoadBalancer",
        ingress=["203.0.113.8"],
        loadBalancerSourceRanges=["192.0.2.0/24"],
        ports=[{"port": 80, "targetPort": 8080, "nodePort": 30081}],
    )
    objects = [
        support.service(),
        support.endpoint_slice("10.1.0.1", "10.1.0.2", "10.1.0.3"),
        balanced,
        support.endpoint_slice("10.1.0.7", "10.1.0.8", of="fenced"),
        support.service("empty", ip="10.96.0.3"),
    ]
    own = support.node(backend="nftables", ip_families=["IPv4"])
    text = BACKEND.render(render.views(support.catalogue(*objects), own), own, Memo())[FILE]
    found = json.loads(support.in_a_namespace("nft -f - && nft -j list ruleset", text))["nftables"]
    assert not odd(json.dumps({"nftables": found}))
    return found  # type: ignore[no-any-return]


def _without(listed: list[dict[str, Any]], chain: str, part: str = "") -> str:
    left = [
        entry
        for entry in listed
        if "rule" not in entry or entry["rule"]["chain"] != chain or part not in json.dumps(entry)
    ]
    assert len(left) < len(listed)
    return said(json.dumps({"nftables": left}))


@pytest.mark.parametrize(
    ("chain", "part"),
    [
        ("services", "@addresses"),
        ("balance", ""),
        ("to-cluster", "goto"),
        ("outside", "mark"),
        ("nat-postrouting", "mark"),
        ("random-3", "dnat"),
        ("fenced-outside", "@ranges"),
    ],
)
def test_rule_that_is_gone(listed: list[dict[str, Any]], chain: str, part: str) -> None:
    found = _without(listed, chain, part)
    assert f"! chain that lacks rules: nftables ip sluice: {chain}" in found


@pytest.mark.parametrize("hook", ["input", "forward", "output"])
def test_base_chain_that_is_gone(listed: list[dict[str, Any]], hook: str) -> None:
    found = _without(listed, f"filter-{hook}")
    assert f"{hook}, which leads to no new-" in found


def test_map_that_no_rule_asks_for(listed: list[dict[str, Any]]) -> None:
    assert "! set with elements that no rule asks for: nftables ip sluice: refuse-inside" in _without(
        listed, "new-inside", "@refuse-inside"
    )


def test_list_that_no_chain_chooses_from(listed: list[dict[str, Any]]) -> None:
    spoilt = json.loads(json.dumps(listed))
    for entry in spoilt:
        if entry.get("map", {}).get("name") == "ways":
            entry["map"]["elem"] = entry["map"]["elem"][:1]
    assert "! list of endpoints that no chain chooses from" in said(json.dumps({"nftables": spoilt}))


def test_what_sluice_notes_for_itself_is_asked_by_no_rule(listed: list[dict[str, Any]]) -> None:
    note = {"family": "ip", "table": "sluice", "name": "made-of", "type": "mark", "handle": 9999, "elem": [1]}
    left = [entry for entry in listed if entry.get("set", {}).get("name") != "made-of"]
    assert not said(json.dumps({"nftables": [*left, {"set": note}]}))
