"""Write docs/report.png, a picture of a page that playbooks/report.yml would write: of a fleet that is made up."""

from __future__ import annotations

import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/report.png"
WIDTH, HEIGHT = 1400, 1060
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "module_utils")]


def main() -> None:
    import browser
    import fleets
    import pages
    from selenium import webdriver

    from sluice.outages import Outages

    drift = {"drift": True, "drift_lines": 4}
    nodes = [
        fleets.Node("lb1"),
        fleets.Node("lb2", out=Outages(frozenset(["10.64.0.11"])), generation=9),
        fleets.Node("lb3", "ipvs", trouble=["drift: 4 lines of difference (sluice diff)"], more=drift),
        fleets.Node("lb4", "nftables"),
    ]
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(word)
    options.binary_location = "/usr/bin/chromium"
    with tempfile.TemporaryDirectory() as folder:
        states = fleets.states(nodes, fleets.catalogue(48, 3, seed=1), seed=2)
        path = pages.written(pathlib.Path(folder), states)[0]
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            found = browser.Browser(driver, path)
            found.system("light")
            found.size(WIDTH, HEIGHT)
            found.show()
            driver.save_screenshot(str(PICTURE))
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
