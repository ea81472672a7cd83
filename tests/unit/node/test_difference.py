"""Why a node's kernel is changed, in lines for people: the backend, Services, or drift."""

from __future__ import annotations

import json
from typing import Any

import support

from sluice.backends.interface import Change
from sluice.catalogue import compiled
from sluice.node import difference, files

WEB = support.service(), support.endpoint_slice("10.0.0.1")
OTHER = support.service(), support.endpoint_slice("10.0.0.2")
RULE = '-d 10.96.0.1/32 -p tcp -m comment --comment "shop/web:http cluster IP" -j KUBE-SVC-X'
CHANGES = (Change("chain A", "change", (RULE,), ("-m comment --comment shop/api -j Y",)), Change("set B", "add"))


def of(*objects: dict[str, Any], backend: str = "iptables", **settings: Any) -> dict[str, str]:
    return {
        files.SETTINGS_FILE: json.dumps({"backend": backend, **settings}),
        files.CATALOGUE_FILE: compiled.text(support.catalogue(*objects)),
    }


def test_services_that_changed() -> None:
    changed = ["shop/web: + 10.0.0.2:8080, - 10.0.0.1:8080"]
    assert difference.services(of(*WEB), of(*OTHER)) == changed
    assert difference.lines(of(*WEB), of(*OTHER), CHANGES) == changed
    assert difference.lines(of(*WEB), of(*OTHER), ()) == changed, "also where the kernel stays as it is"


def test_nothing_was_there_or_is_left() -> None:
    nothing = files.of_nothing().contents
    for empty in ({}, nothing):
        assert difference.services(empty, of(*WEB)) == ["+ shop/web (ClusterIP 10.96.0.1, 1 endpoint)"]
    assert difference.lines(of(*WEB), nothing, CHANGES) == ["- shop/web"]
    assert difference.lines({}, nothing, ()) == []


def test_another_backend_comes_first() -> None:
    line = "backend: ipvs is in force, iptables is wanted"
    assert difference.lines(of(*WEB, backend="ipvs"), of(*WEB), CHANGES) == [line]
    assert difference.lines(of(*WEB, backend="ipvs"), of(*OTHER), CHANGES)[0] == line


def test_drift() -> None:
    line = "drift: the catalogue is the same, the kernel's rules are not"
    assert difference.lines(of(*WEB), of(*WEB), CHANGES) == [f"{line}: shop/api, shop/web:http"]
    assert difference.lines(of(*WEB), of(*WEB), CHANGES[1:]) == [line]
    assert difference.lines(of(*WEB), of(*WEB), ()) == []


def test_other_settings() -> None:
    (line,) = difference.lines(of(*WEB), of(*WEB, masquerade=True), CHANGES)
    assert line.startswith("no Service was changed: ")
    assert difference.lines({}, {files.SETTINGS_FILE: "{}"}, CHANGES) == []


def test_a_catalogue_that_cannot_be_read() -> None:
    line = "what changes by Service is not known: the catalogue in force: "
    before = of(*WEB)
    before[files.CATALOGUE_FILE] = before[files.CATALOGUE_FILE].replace("shop", "shap")
    assert difference.services(before, of(*WEB)) == [f"{line}it is damaged"]
    del before[files.CATALOGUE_FILE]
    assert difference.services(before, of(*WEB)) == [f"{line}another release of Sluice compiled it"]


def test_the_backend_of_files() -> None:
    assert difference.backend(of(backend="ipvs")) == "ipvs"
    for text in ("", "{", "[]", "{}", '{"backend": 1}'):
        assert difference.backend({files.SETTINGS_FILE: text}) == ""
    assert difference.backend({}) == ""
