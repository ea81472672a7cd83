"""Sets and maps of kube-proxy's nftables mode in which an element is gone, or leads elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from planted import replaced, said

from sluice import names

TABLE = (Path(__file__).parent / "kube-proxy-1.36.nft").read_text()
WEB, STICKY = "goto service-AAAAAAAA-shop/web/tcp/http", "goto service-BBBBBBBB-shop/sticky/tcp/http"
CHANGED = [
    ("10.96.0.2 . tcp . 80", "10.96.0.2 . udp . 80", "! address that leads to a chain of another protocol"),
    ("10.96.0.1, 10.96.0.2, ", "10.96.0.2, ", "! cluster IP that is not in cluster-ips"),
    ("10.96.0.2, 10.96.0.3 }", "10.96.0.2, 10.96.0.3, 10.96.0.4 }", "! cluster IP that no map leads on"),
    (f"10.96.0.2 . tcp . 80 : {STICKY},\n", "", "! cluster IP that no map leads on"),
    (f"10.96.0.2 . tcp . 80 : {STICKY}", f"10.96.0.1 . tcp . 81 : {STICKY}", "! one cluster IP that leads to two"),
    (f" . 80 : {STICKY}", f' . 80 comment "shop/sticky:http" : {WEB}', "! Service that leads to another one's chain"),
    ("elements = { 10.0.0.10 }\n", "", "! node ports at no address of the node"),
]


@pytest.mark.parametrize(("old", "new", "what"), CHANGED)
def test_element_that_says_something_else(old: str, new: str, what: str) -> None:
    assert what in said(replaced(TABLE, old, new))


def test_fence_that_no_address_leads_to() -> None:
    found = said(re.sub(r"(map firewall-ips \{\n.*\n).*elements.*\n", r"\1", TABLE))
    assert "! chains to which no rule jumps: nftables ip kube-proxy: firewall-AAAAAAAA-shop/web/tcp/http" in found


def test_chain_that_is_not_named_after_its_service() -> None:
    """Where most are named by their hash, one that is not was changed by somebody."""
    named = TABLE.replace("AAAAAAAA", names.hashed("shop/web/tcp/http", 8))
    named = named.replace("BBBBBBBB", names.hashed("shop/sticky/tcp/http", 8))
    assert not said(named)
    strange = named.replace(f"{names.hashed('shop/sticky/tcp/http', 8)}-shop/sticky/", "CCCCCCCC-shop/sticky/")
    assert "! Service that leads to a chain that is not named after it" in said(strange)
