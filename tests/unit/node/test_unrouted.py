"""Endpoints of a node's files that it has no route to; what routes there are is the test's to say."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from support import catalogue, endpoint, endpoint_slice, service

from sluice.catalogue import compiled
from sluice.node import files
from sluice.node.unrouted import unrouted, warning
from sluice.system import routes

THERE, NOWHERE, UNREADY = "10.1.0.1", "10.2.0.1", "10.2.0.2"
FILES = {
    files.SETTINGS_FILE: json.dumps({"ip_families": ["IPv4"]}),
    files.CATALOGUE_FILE: compiled.text(
        catalogue(
            *(service("web"), endpoint_slice(THERE, NOWHERE, of="web")),
            *(service("dns", ip="10.96.0.2"), endpoint_slice(NOWHERE, of="dns")),
            *(service("old", ip="10.96.0.3"), endpoint_slice(endpoint(UNREADY, ready=False), of="old")),
        )
    ),
}


@pytest.fixture(autouse=True)
def one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(asked: Iterable[str]) -> list[str]:
        return [address for address in asked if not address.startswith("10.1.")]

    monkeypatch.setattr(routes, "without", without)


def test_only_what_is_sent_to_counts() -> None:
    assert unrouted(FILES) == {NOWHERE: "shop/dns"}


@pytest.mark.parametrize("settings", ['{"ip_families": ["IPv6"]}', '{"ip_families": []}', "{}", "[]", "{", None])
def test_of_the_families_that_are_served(settings: str | None) -> None:
    contents = {**FILES, files.SETTINGS_FILE: settings}
    assert unrouted({name: text for name, text in contents.items() if text is not None}) == {}


def test_without_a_catalogue_nothing_is_known() -> None:
    assert unrouted({files.SETTINGS_FILE: FILES[files.SETTINGS_FILE]}) == {}


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (0, ""),
        (1, "this node has no route to 1 endpoint: 10.0.0.0 (a/b)"),
        (
            5,
            "this node has no route to 5 endpoints: 10.0.0.0 (a/b), 10.0.0.1 (a/b), 10.0.0.2 (a/b) and 2 more",
        ),
    ],
)
def test_the_line_names_some(count: int, line: str) -> None:
    assert warning({f"10.0.0.{number}": "a/b" for number in range(count)}) == line
