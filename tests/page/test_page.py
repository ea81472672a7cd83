"""The page of a report in a browser: find a Service, see its way, sort, switch the theme, all of it without a mouse.

Each test also proves that nothing was asked of anybody but the file, and that the console is empty (conftest).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fleets
import pages
import pytest
from browser import Browser
from fleets import Node
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from sluice.fleet.states import FAILED, UNREACHABLE, State
from sluice.outages import Outages

HOSTILE = "<img src=x onerror=document.title='had'></script><script>document.title='had'</script>\u2028&lt;b&gt;"
NOTHING = "\N{EN DASH}"
OUT = Outages(frozenset(["10.64.2.10"]))


def a_fleet() -> list[State]:
    """One node a backend, one of which is otherwise, one with hostile words, and two that told nothing."""
    drift = {"drift": True, "drift_lines": 4, "catalogue": "09aa23bb71ce"}
    nodes = [
        Node("lb1"),
        Node("lb2", "ipvs", out=OUT, generation=9),
        Node("lb3", "nftables", trouble=["drift: 4 lines of difference (sluice diff)"], more=drift),
        Node("lb4", compat="1.20"),
    ]
    found = fleets.states(nodes, fleets.catalogue(24, 3, seed=1), seed=2)
    for state in found:
        assert state.told
        bad = next(row for row in state.told["rows"] if row["name"].startswith("shop/queue"))
        bad["name"] = f"{HOSTILE}/queue:http"
        bad["groups"][0]["ways"][0][0] = HOSTILE
    assert found[3].told
    found[3] = found[3]._replace(name=HOSTILE)
    found[3].told["trouble"].append(HOSTILE)  # type: ignore[index]
    return [*found, State("lb5", None, UNREACHABLE, HOSTILE), State("lb6", None, FAILED, "no such file")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Any]]:
    return pages.written(tmp_path_factory.mktemp("page"), a_fleet())


@pytest.fixture
def page(made: tuple[Path, Mapping[str, Any]]) -> Path:
    return made[0]


def test_by_keys_alone(browser: Browser) -> None:
    browser.press("/")
    assert browser.focus() == "search"
    browser.press("checkout")
    assert browser.services() == ["mail/checkout-1:http", "payments/checkout:http"]
    assert browser.texts("#found") == ["2 of 24 service ports"]
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert browser.focus() == "payments/checkout:http"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.script(outline) == "solid", "one sees where the focus is"
    browser.press(Keys.ENTER)
    assert browser.one("#service").is_displayed()
    assert "payments/checkout:http" in browser.one("#service-title").text
    browser.press("k")
    assert "mail/checkout-1:http" in browser.one("#service-title").text
    browser.press("j", Keys.ESCAPE)
    browser.until("!document.getElementById('service').open")
    assert browser.focus() == "payments/checkout:http", "back where one was"
    browser.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert browser.focus() == "search"
    browser.press(Keys.ESCAPE)
    assert len(browser.services()) == 24
    browser.one("body").click()
    browser.press("?")
    assert browser.one("#help").is_displayed()
    browser.press(Keys.ESCAPE, "n")
    assert browser.services() == ["payments/checkout:http"]


def test_search_finds_addresses_endpoints_and_chains(browser: Browser) -> None:
    browser.show("#svc=payments/checkout:http")
    chain = re.search(r"KUBE-SVC-\w{16}", "\n".join(browser.texts("#service svg text")))
    assert chain
    browser.show()
    search = browser.one("#search")
    for words, names in {
        "10.96.0.3:80": ["payments/checkout:http"],
        "10.64.2.11": ["payments/checkout:http"],
        chain[0].lower(): ["payments/checkout:http"],
        "payments loadbalancer": [],
        "infra  http": ["infra/ledger:http", "infra/mail-1:http", "infra/search:http"],
    }.items():
        search.clear()
        search.send_keys(words)
        assert browser.services() == names


def test_the_way_is_drawn_with_exact_shares(browser: Browser) -> None:
    """As the kernel of the node that is chosen has it."""
    browser.show("#svc=payments/checkout:http")
    labels = browser.texts("#service svg text.share")
    assert len(labels) == 3
    assert all(label.endswith("1/3") for label in labels), "behind the title, which has the same text"
    drawn = "\n".join(browser.texts("#service svg text"))
    assert "10.96.0.3:80" in drawn
    assert ("KUBE-SVC-" in drawn, "KUBE-SEP-" in drawn) == (True, True)
    Select(browser.one("#seen-on")).select_by_value("lb2")
    drawn = "\n".join(browser.texts("#service svg text"))
    assert ("virtual server" in drawn, "rr among 2 endpoints" in drawn, "KUBE-" in drawn) == (True, True, False)
    assert all(label.endswith("1/2") for label in browser.texts("#service svg text.share"))
    assert "drained: gets no new connections" in drawn
    Select(browser.one("#seen-on")).select_by_value("lb3")
    drawn = "\n".join(browser.texts("#service svg text"))
    assert ("inside" in drawn, "chooses among 3 endpoints" in drawn) == (True, True)
    assert "those that conntrack has at the moment" in browser.one("#service").text


def test_what_was_counted(browser: Browser, made: tuple[Path, Mapping[str, Any]]) -> None:
    row = next(each for each in made[1]["rows"] if each["name"] == "edge/cart:http")
    at = made[1]["rows"].index(row)
    browser.show("#svc=edge/cart:http")
    totals = [columns["total"][at * 5 : at * 5 + 5] for columns in made[1]["at"]]
    lines = browser.texts("#counters tbody tr")
    assert len(lines) == 5
    assert f"first packets{totals[0][0]:,}{totals[0][1]:,}{totals[0][2]:,}{NOTHING * 2}" in lines[0]
    assert "all packets" + "".join(f"{number:,}" for number in totals[1]) in lines[1]
    assert "mixed" + "".join(f"{sum(column):,}" for column in zip(*totals)) in lines[4]
    assert f"p = {row['verdict']:.3f}" in browser.one("#verdict").text


def test_sorting(browser: Browser, made: tuple[Path, Mapping[str, Any]]) -> None:
    sums = {
        row["name"]: sum(columns["total"][at * 5] for columns in made[1]["at"])
        for at, row in enumerate(made[1]["rows"])
    }
    head = '#services button[data-column="Connections"]'
    order = sorted(sums, key=lambda name: -sums[name])
    browser.one(head).click()
    assert browser.services() == order
    assert browser.one("#services th[aria-sort=descending]").text.startswith("Connections")
    browser.press(Keys.ENTER)  # it still has the focus
    assert browser.services() == order[::-1]
    assert browser.one("#services th[aria-sort=ascending]").text.startswith("Connections")
    browser.one('#nodes button[data-column="Generation"]').click()
    assert browser.texts("#nodes tbody tr td:first-child")[0] == "lb2"


def test_filters(browser: Browser) -> None:
    Select(browser.one("#of-namespace")).select_by_value("infra")
    assert browser.services() == ["infra/ledger:http", "infra/mail-1:http", "infra/search:http"]
    Select(browser.one("#of-namespace")).select_by_value("")
    Select(browser.one("#of-backend")).select_by_value("ipvs")
    assert "counted on lb2" in browser.one("#found").text
    Select(browser.one("#of-node")).select_by_value("lb3")
    assert "counted on lb3" in browser.one("#found").text
    browser.one("#only-trouble").click()
    assert browser.services() == ["payments/checkout:http"]


def theme(browser: Browser) -> str:
    background = browser.script("return getComputedStyle(document.body).backgroundColor")
    return "light" if sum(map(int, re.findall(r"\d+", background)[:3])) > 384 else "dark"


def test_light_and_dark(browser: Browser) -> None:
    assert theme(browser) == "light"
    browser.system("dark")
    browser.until("document.documentElement.dataset.theme === 'dark'")
    assert theme(browser) == "dark", "it follows the system"
    browser.one("#theme").click()
    assert theme(browser) == "light"
    browser.show()
    assert theme(browser) == "light", "it is remembered"
    browser.one("body").click()
    browser.press("t")
    assert theme(browser) == "dark"
    browser.system("light")
    browser.show()
    assert theme(browser) == "light", "it follows the system again"


def test_what_nodes_say_is_text(browser: Browser) -> None:
    assert browser.driver.title == "Sluice report"
    assert any(HOSTILE in text for text in browser.texts("#lost"))
    assert any(HOSTILE in text for text in browser.texts("#nodes td"))
    name = f"{HOSTILE}/queue:http"
    assert name in browser.services()
    browser.one("#search").send_keys("onerror=")
    assert browser.services() == [name]
    browser.one("#services tbody a").click()
    browser.until("document.getElementById('service').open")
    assert HOSTILE in browser.texts("#service-title")[0]
    assert any(HOSTILE in text for text in browser.texts("#service svg text"))
    for selector in ("img", "b b", "iframe", "script[src]", "link", "[onerror]"):
        assert not browser.all(selector)
    assert (browser.driver.title, len(browser.all("script"))) == ("Sluice report", 2)


def test_who_could_not_be_asked_is_said_loudly(browser: Browser) -> None:
    banner = browser.one("#lost")
    assert banner.is_displayed()
    assert banner.text.startswith("2 nodes could not be asked")
    assert browser.one("#banners").get_attribute("role") == "alert"
    assert "lb6 is failed: no such file" in banner.text
    assert "4 of 6" in browser.one("#tiles").text
    assert "Nodes have 2 different catalogues" in browser.one("#differ").text
    assert "4 lines" in browser.one('#nodes tr[data-node="lb3"]').text
    assert "10.64.2.10 is drained" in browser.one('#nodes tr[data-node="lb2"]').text


def test_links_to_a_service(browser: Browser) -> None:
    browser.show("#svc=infra/search:http")
    assert "infra/search:http" in browser.one("#service-title").text
    browser.press(Keys.ESCAPE)
    browser.until("!location.hash")
    browser.show("#svc=no/such")
    assert not browser.one("#service").is_displayed()


def test_on_paper(browser: Browser) -> None:
    """Black on white whatever the theme, without what is only for a screen; one Service alone if it is open."""
    browser.system("dark", "print")
    assert theme(browser) == "light"
    assert [browser.one(each).is_displayed() for each in ("#filters", "#theme", "#nodes", "#services")] == [
        False,
        False,
        True,
        True,
    ]
    assert base64.b64decode(browser.driver.print_page()).startswith(b"%PDF")
    browser.show("#svc=infra/search:http")
    browser.system("dark", "print")
    assert [browser.one(each).is_displayed() for each in ("#service svg", "#nodes", "#close")] == [True, False, False]
    browser.system("light")


def test_everything_has_a_name(browser: Browser) -> None:
    """What can have the focus says to a screen reader what it is, in the list and in a Service."""
    for anchor in ("", "#svc=infra/search:http"):
        browser.show(anchor)
        nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        for node in nodes:
            properties = {each["name"]: each["value"].get("value") for each in node.get("properties", ())}
            role = node.get("role", {}).get("value")
            if properties.get("focusable") and not node.get("ignored") and role != "RootWebArea":
                assert node.get("name", {}).get("value"), node


@pytest.mark.parametrize("width", [390, 800])
def test_narrow_windows(browser: Browser, width: int) -> None:
    """Only tables and drawings scroll sideways, within their frames."""
    browser.size(width, 900)
    for anchor in ("", "#svc=edge/cart:http"):
        browser.show(anchor)
        for element in ("document.scrollingElement", "document.getElementById('service')"):
            assert browser.script(f"return {element}.scrollWidth <= Math.max({element}.clientWidth, 0) + 1")
