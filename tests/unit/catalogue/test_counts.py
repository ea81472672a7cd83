"""Services of a compiled catalogue are counted, and compared with those of another one, where that can be told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import catalogue, endpoint, endpoint_slice, service

from sluice.catalogue import compiled, counts
from sluice.catalogue.counts import Counts
from sluice.catalogue.model import Service

WEB = (service("web"), endpoint_slice("10.244.1.1", endpoint("10.244.1.2", ready=False), of="web"))
DNS = (service("dns", ip="10.96.0.2"),)
POD = (
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "infra"},
        "spec": {
            "nodeName": "node1",
            "containers": [{"name": "a", "ports": [{"containerPort": 9100, "hostPort": 9100}]}],
        },
        "status": {"podIP": "10.244.1.9", "phase": "Running"},
    },
)


def text(*objects: Any) -> str:
    return compiled.text(catalogue(*objects))


def test_what_there_is() -> None:
    assert counts.counts(text(*WEB, *DNS)) == Counts(2, 0, 2, 1)
    assert counts.counts(text()) == Counts(0, 0, 0, 0)
    found = counts.counts(text(*WEB, *POD))
    assert found and found.text == "1 Service, 1 host port"


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (WEB, WEB, "the same Services"),
        (WEB, (*WEB, *DNS), "1 Service added"),
        ((*WEB, *DNS), (), "2 Services removed"),
        ((WEB[0], *DNS), (*WEB, *DNS), "1 Service changed"),
        ((WEB[0], *DNS), (*WEB, service("new", ip="10.96.0.3")), "1 Service added, 1 removed, 1 changed"),
        (WEB, (*WEB, *POD), "other host ports"),
        (DNS, (*WEB, *POD), "1 Service added, 1 removed, other host ports"),
    ],
)
def test_what_is_different(before: tuple[Any, ...], after: tuple[Any, ...], line: str) -> None:
    assert counts.difference(text(*before), text(*after)) == line


HEADLESS = (service("idle", ip="None"),)
MANY = [service(f"s{number}", ip=f"10.96.1.{number}", externalIPs=[f"192.0.2.{number}"]) for number in range(9)]


@pytest.mark.parametrize("number", range(9))
def test_one_of_many(number: int) -> None:
    """Wherever it is: only what is different is read, and that is no other answer."""
    others = MANY[:number] + MANY[number + 1 :]
    for rest in ((), HEADLESS, POD):
        full = text(*MANY, *rest)
        assert counts.difference(text(*others, *rest), full) == "1 Service added"
        assert counts.difference(full, text(*others, *rest)) == "1 Service removed"
        changed = service(f"s{number}", ip=f"10.96.1.{number}", externalIPs=[f"192.0.2.{number}", "192.0.2.77"])
        assert counts.difference(full, text(*others, changed, *rest)) == "1 Service changed"
        renamed = service(f"s{number}{number}", ip=f"10.96.1.{number}")
        assert counts.difference(full, text(*others, renamed, *rest)) == "1 Service added, 1 removed"


def test_several_of_many() -> None:
    after = [*MANY[1:4], service("s4", ip="10.96.1.44"), *MANY[5:], *WEB]
    assert counts.difference(text(*MANY), text(*after)) == "1 Service added, 1 removed, 1 changed"


def test_those_without_rules_are_services() -> None:
    more = service("more", ip="None")
    assert counts.difference(text(*WEB), text(*WEB, *HEADLESS)) == "1 Service added"
    assert counts.difference(text(*WEB, *HEADLESS), text(*WEB, *HEADLESS, more)) == "1 Service added"


def test_a_selector_that_looks_like_a_service() -> None:
    odd = service("odd", ip="10.96.2.1", selector={'],["a","b","ClusterIP",[': "],["})
    changed = service("odd", ip="10.96.2.1", selector={'],["a","b","ClusterIP",[': "],[]"})
    assert counts.difference(text(*MANY, odd, *WEB), text(*MANY, changed, *WEB)) == "1 Service changed"


def test_without_what_was_before() -> None:
    assert counts.difference(None, text(*WEB)) == "1 Service"
    assert counts.difference("", text()) == "0 Services"


def of_another_release() -> str:
    """One whose Services have a field more."""
    head, _newline, rest = text(*WEB).partition("\n")
    value = json.loads(rest[:-2])
    value[0][0].append("new")
    return f"{head}\n{json.dumps(value)}}}\n"


@pytest.mark.parametrize(
    "strange",
    ["x", "{}\n{}\n", "\n[[[]],[],[],[]]}\n", "\n[[7],[],[],[]]}\n", "\n" + "[" * 99999, of_another_release()],
)
def test_what_cannot_be_told(strange: str) -> None:
    assert counts.counts(strange) is None
    assert counts.difference(text(*WEB), strange) == ""
    assert counts.difference(strange, strange) == ""


def test_what_was_before_cannot_be_told() -> None:
    assert counts.difference(of_another_release(), text(*WEB)) == "1 Service"


def test_an_outline_has_what_numbers_need() -> None:
    whole = catalogue(
        *WEB,
        service("lb", ip="10.96.0.3", type="LoadBalancer", externalIPs=["198.51.100.7"], ingress=["203.0.113.10"]),
        *POD,
    )
    found = counts.outline(compiled.text(whole))
    assert found is not None
    for outlined, each in zip(found.services, whole.services):
        for field in ("namespace", "name", "type", "cluster_ips", "ports", "external_ips", "ingress"):
            assert getattr(outlined, field) == getattr(each, field)
        assert [piece.endpoints[0].ready for piece in outlined.slices] == [
            piece.endpoints[0].ready for piece in each.slices
        ]
    assert len(found.services) == len(whole.services) == 2
    assert counts.outline(None) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 7),
        ("cluster_ips", [None]),
        ("cluster_ips", 7),
        ("external_ips", [{}]),
        ("ports", [["http", "TCP", "80", 80, 0]]),
        ("ports", [["http", "TCP", 80]]),
        ("ports", [[[], "TCP", 80, 80, 0]]),
        ("ingress", [["203.0.113.10"]]),
        ("ingress", [[7, "VIP"]]),
        ("slices", [["IPv4", [], [["10.244.1.1"]]]]),
        ("slices", [7]),
    ],
)
def test_no_outline_of_what_is_no_service(field: str, value: Any) -> None:
    head, _newline, rest = text(*WEB).partition("\n")
    held = json.loads(rest[:-2])
    held[0][0][Service._fields.index(field)] = value
    assert counts.outline(f"{head}\n{json.dumps(held)}}}\n") is None


@pytest.mark.parametrize("strange", ["x", "\n[[7],[],[],[]]}\n", of_another_release()])
def test_no_outline(strange: str) -> None:
    assert counts.outline(strange) is None
