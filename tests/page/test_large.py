"""A page about 20 nodes with 1,000 Services of 5 endpoints each: how large it is, and that it can be used."""

from __future__ import annotations

from pathlib import Path

import fleets
import pages
import pytest
from browser import Browser
from fleets import Node
from selenium.webdriver.common.keys import Keys

SERVICES, ENDPOINTS, NODES = 1000, 5, 20
MOST = 2_000_000
"""Bytes."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them use IPVS, which counts most: five numbers a service port, and millions of packets."""
    nodes = [Node(f"lb{number}", "ipvs") for number in range(1, NODES + 1)]
    states = fleets.states(nodes, fleets.catalogue(SERVICES, ENDPOINTS, seed=3), seed=4, busy=5)
    return pages.written(tmp_path_factory.mktemp("large"), states)[0]


def test_size(page: Path) -> None:
    size = page.stat().st_size
    print(f"{size} bytes")
    assert size < MOST


def test_it_can_be_used(browser: Browser) -> None:
    assert browser.texts("#found") == [f"{SERVICES:,} service ports"]
    assert len(browser.services()) < SERVICES, "rows that nobody sees are not drawn yet"
    browser.press("/")
    browser.press("checkout-80", Keys.ENTER)
    assert "checkout-80:http" in browser.one("#service-title").text
    assert len(browser.texts("#service svg text.share")) == ENDPOINTS
    assert len(browser.texts("#counters tbody tr")) == NODES + 1
