"""kube-proxy's nftables tables and Sluice's, with something taken away; as the kernel lists them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import support
from planted import said

from sluice import render
from sluice.backends.interface import Memo
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture(scope="module")
def theirs() -> str:
    text = (Path(__file__).parent / "kube-proxy.nft").read_text()
    return support.in_a_namespace("nft -f - && nft -j list ruleset", text)


@pytest.fixture(scope="module")
def ours() -> str:
    objects = [support.service(), support.endpoint_slice("10.1.0.1", "10.1.0.2", "10.1.0.3")]
    own = support.node(backend="nftables", ip_families=["IPv4"])
    text = BACKEND.render(render.views(support.catalogue(*objects), own), own, Memo())[FILE]
    return support.in_a_namespace("nft -f - && nft -j list ruleset", text)


def _without(listed: str, is_meant: Callable[[str, Any], bool]) -> str:
    entries = json.loads(listed)["nftables"]
    left = [entry for entry in entries if not any(is_meant(kind, of) for kind, of in entry.items())]
    assert len(left) < len(entries)
    return json.dumps({"nftables": left})


@pytest.mark.parametrize("hook", ["prerouting", "output", "postrouting"])
@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_base_chain_that_leads_nowhere(whose: str, hook: str, request: pytest.FixtureRequest) -> None:
    listed = request.getfixturevalue(whose)
    text = _without(listed, lambda kind, of: kind == "rule" and of["chain"] == f"nat-{hook}")
    assert f"! no base chain in {hook} leads to the rules of Services" in said(text)


def test_jump_to_a_chain_that_is_not_there(theirs: str) -> None:
    chain = "external-ULMVA6XW-shop/web/tcp/"
    text = _without(theirs, lambda kind, of: chain in (of.get("name"), of.get("chain")) and kind in ("chain", "rule"))
    assert f"! jump to a chain that is not there: {chain}" in said(text)


def test_set_that_is_not_there(theirs: str) -> None:
    text = _without(theirs, lambda kind, of: kind == "map" and of["name"] == "service-ips")
    assert "! set that is not there: service-ips" in said(text)


def test_chain_to_which_no_rule_jumps(theirs: str) -> None:
    text = _without(theirs, lambda kind, of: kind == "rule" and of["chain"].startswith("service-BBBBBBBB"))
    assert "! chains to which no rule jumps" in said(text)


def _with_elements(listed: str, name: str, elements: list[Any]) -> str:
    found = json.loads(listed)
    for entry in found["nftables"]:
        if entry.get("map", {}).get("name") == name:
            entry["map"]["elem"] = elements
    return json.dumps(found)


def _elements(listed: str, name: str) -> list[Any]:
    return next(
        entry["map"]["elem"] for entry in json.loads(listed)["nftables"] if entry.get("map", {}).get("name") == name
    )


def test_slots_that_are_missing(ours: str) -> None:
    text = _with_elements(ours, "slots-tcp", _elements(ours, "slots-tcp")[:2])
    assert "! list of endpoints with slots missing: nftables ip sluice: 2 of 3 slots" in said(text)


def test_address_without_a_list(ours: str) -> None:
    found = said(_with_elements(ours, "lists", []))
    assert "! address of a Service without a list of endpoints: nftables ip sluice: shop/web" in found
