"""A headless Chromium, and pages for it: Debian's chromium and chromium-driver."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from selenium import webdriver

NEEDED = {"chromium": "chromium", "chromedriver": "chromium-driver"}
"""Programs, and Debian's packages of them."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    found = {program: shutil.which(program) for program in NEEDED}
    missing = [NEEDED[program] for program, path in found.items() if not path]
    if missing:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"THE PAGE OF A REPORT IS NOT TESTED: apt-get install {' '.join(missing)}")
    options = webdriver.ChromeOptions()
    options.binary_location = str(found["chromium"])
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(found["chromedriver"])))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome, page: Path) -> Iterator[Browser]:
    """It shows the page ``page``. Whatever a test did, nothing was asked of anybody, and the console is empty."""
    chromium.get_log("browser")
    chromium.get_log("performance")
    found = Browser(chromium, page)
    found.system("light")
    found.size(1400, 1000)
    found.show()
    found.script("localStorage.clear()")
    found.show()
    yield found
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    messages: list[Any] = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = {
        message["params"]["request"]["url"].partition("#")[0]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    assert asked == {page.as_uri()}
