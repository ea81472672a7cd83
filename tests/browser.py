"""A browser as a person uses it: keys, clicks, and what there is to be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 30
"""Until what is waited for has to be so, on a slow machine."""


class Browser:
    """``driver`` with the page at ``path``."""

    def __init__(self, driver: webdriver.Chrome, path: Path) -> None:
        self.driver = driver
        self.path = path

    def show(self, anchor: str = "") -> None:
        """Load the page anew, and wait until it is drawn."""
        self.driver.get("about:blank")
        self.driver.get(self.path.as_uri() + anchor)
        self.until("document.documentElement.dataset.ready === 'yes'")

    def script(self, text: str, *arguments: Any) -> Any:
        return self.driver.execute_script(text, *arguments)

    def until(self, condition: str) -> None:
        WebDriverWait(self.driver, SECONDS, 0.05).until(
            lambda _driver: self.script(f"return Boolean({condition})"), message=condition
        )

    def system(self, scheme: str, media: str = "") -> None:
        """Have the system prefer ``light`` or ``dark``; ``media``: as for ``print``."""
        # What moves is not all there yet when one looks.
        given = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in given.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def size(self, width: int, height: int) -> None:
        given = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", given)

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """What elements say, also where one has to scroll to see it."""
        found: list[str] = self.script(
            "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", selector
        )
        return found

    def services(self) -> list[str]:
        """The Services that are listed."""
        return self.texts("#services tbody a")

    def focus(self) -> str:
        """What has the focus says."""
        return str(self.script("return document.activeElement.textContent || document.activeElement.id"))
