"""Fields of an object: each kind of bad text in one is one line that says where it stands and what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bad_input
import pytest
from bad_input import PORT, SAYS, WEB, WEB_1, Bad
from support import catalogue, service

from sluice.catalogue.manifests import inline
from sluice.catalogue.reader import ObjectReader, short
from sluice.faults import Fault

CASES = {
    "wrong type: number": Bad("port: 80\n", "port: http\n", WEB, f"{PORT}.port", "must be a whole number, is 'http'"),
    "wrong type: bool": Bad("port: 80\n", "port: true\n", WEB, f"{PORT}.port", "must be a whole number, is true"),
    "wrong type: float": Bad("port: 80\n", "port: 80.0\n", WEB, f"{PORT}.port", "must be a whole number, is 80.0"),
    "wrong type: nan": Bad("port: 80\n", "port: .nan\n", WEB, f"{PORT}.port", "must be a whole number, is nan"),
    "wrong type: base 60": Bad("port: 80\n", "port: 1:20\n", WEB, f"{PORT}.port", "must be a whole number, is '1:20'"),
    "wrong type: string": Bad("name: web\n", "name: 12\n", "Service", "metadata.name", "must be a string, is 12"),
    "wrong type: flag": Bad(
        "conditions: {ready: true}",
        "conditions: {ready: 'true'}",
        WEB_1,
        "endpoints[0].conditions.ready",
        "must be true or false, is 'true'",
    ),
    "wrong type: list": Bad(
        "externalIPs:\n  - 198.51.100.1",
        "externalIPs: 198.51.100.1",
        "Service shop/other",
        "spec.externalIPs",
        "must be a list, is '198.51.100.1'",
    ),
    "wrong type: mapping": Bad(
        "- ip: 192.0.2.1", "- 80", WEB, "status.loadBalancer.ingress[0]", "must be a mapping, is 80"
    ),
    "wrong type: label": Bad(
        "kubernetes.io/service-name: web",
        "x: 1\n    kubernetes.io/service-name: web",
        WEB_1,
        "metadata.labels.x",
        "must be text, is 1: put it in quotes",
    ),
    "a Deployment's selector": Bad(
        "  ports:\n  - name: http",
        "  selector: {matchLabels: {app: web}}\n  ports:\n  - name: http",
        WEB,
        "spec.selector.matchLabels",
        "must be text, is a mapping: a Service's selector has the labels themselves",
    ),
    "huge port": Bad("port: 80\n", f"port: {'9' * 90}\n", WEB, f"{PORT}.port", "… (90 characters) is not in 1-65535"),
    "unknown annotation": Bad(
        "sluice.io/weight: 2",
        "sluice.io/weights: 2",
        WEB,
        f"{SAYS}/weights",
        "no such annotation of a Service, did you mean sluice.io/weight?",
        warning=True,
    ),
    "annotation of another kind": Bad(
        'sluice.io/weight: "3"',
        "sluice.io/scheduler: rr",
        WEB_1,
        f"{SAYS}/scheduler",
        "no such annotation of an EndpointSlice",
        warning=True,
    ),
    "name": Bad("name: web\n", "name: Web\n", "Service shop/Web", "metadata.name", "'Web' is not a DNS label"),
    "no name": Bad(
        "  name: other\n",
        "",
        "Service shop",
        "metadata.name",
        "is missing",
        line="metadata:\n  namespace: shop\nspec:\n  externalIPs",
    ),
    "namespace": Bad(
        "namespace: shop\n  annotations",
        "namespace: a/b\n  annotations",
        "Service a/b/web",
        "metadata.namespace",
        "'a/b' is not a DNS label",
        line="  namespace: a/b",
    ),
    "port name": Bad("- name: http\n    port", "- name: h_p\n    port", WEB, f"{PORT}.name", "is not a DNS label"),
    "node name": Bad(
        "nodeName: node1\n  cond", "nodeName: a b\n  cond", WEB_1, "endpoints[0].nodeName", "'a b' is not a"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)


def reader(value: dict[str, Any], kind: str = "Service") -> tuple[ObjectReader, list[Fault]]:
    faults: list[Fault] = []
    (manifest,) = inline({"metadata": {"name": "web"}, **value})[0]
    return ObjectReader(manifest, kind, faults), faults


def test_null_is_the_default() -> None:
    entry, faults = reader({"a": None})
    for holder in ({}, {"a": None}):
        assert entry.text(holder, "a", (), "x") == "x"
        assert entry.flag(holder, "a", (), True) is True
        assert entry.number(holder, "a", (), 1, 9, 5) == 5
        assert entry.items(holder, "a", ()) == []
        assert entry.mapping(holder, "a", ()) == {}
        assert entry.choice(holder, "a", (), ("b", "c"), "c") == "c"
    assert (faults, entry.faulty) == ([], False)


def test_who_an_object_is() -> None:
    entry, _ = reader({"metadata": {"name": "web", "labels": {"a": "b"}}})
    assert (entry.key, entry.subject, entry.labels) == (("default", "web"), "Service default/web", {"a": "b"})
    node, faults = reader({"metadata": {"name": "node1.example.com"}}, "Node")
    assert (node.key, node.subject, faults) == (("", "node1.example.com"), "Node node1.example.com", [])


def test_a_warning_makes_no_object_faulty() -> None:
    entry, faults = reader({})
    entry.fault(("spec", "ports", 0, "name"), "is odd", warning=True)
    assert not entry.faulty
    entry.fault(("spec", "ports", 0, "name"), "is wrong")
    assert entry.faulty
    assert {fault.field for fault in faults} == {"spec.ports[0].name"}


def test_a_field_that_is_read_twice_is_wrong_once() -> None:
    entry, faults = reader({})
    for path in (("a",), ("b",), ("a",)):
        entry.text({"a": 1}, "a", path)
    assert [fault.field for fault in faults] == ["a.a", "b.a"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is missing"),
        ("", "is missing"),
        (80, "80 is not an IP address"),
        ("web.example.com", "'web.example.com' is not an IP address"),
        ("10.0.0.256", "'10.0.0.256' is not an IP address"),
        ("010.0.0.256", "'010.0.0.256' is not an IP address"),
        ("fe80::1%eth0", "'fe80::1%eth0' is not an IP address"),
        ("0.0.0.0", "'0.0.0.0' is the address of no host"),
        ("0::0", "'0::0' is the address of no host"),
        ("010.0.0.001", "'010.0.0.001' has leading zeros, which some take for octal: write 10.0.0.1"),
        ("::FFFF:10.0.0.1", "'::FFFF:10.0.0.1' is IPv4 in IPv6's form: write 10.0.0.1"),
        ("::ffff:a00:1", "'::ffff:a00:1' is IPv4 in IPv6's form: write 10.0.0.1"),
        (" 10.0.0.1", "' 10.0.0.1' is not an IP address: write 10.0.0.1"),
        ("10.0.0.1/32", "'10.0.0.1/32' is not an IP address: write 10.0.0.1"),
    ],
)
def test_what_is_no_address(value: object, message: str) -> None:
    """What an API server refuses, since 1.36 forms that not all programs read alike as well (KEP-4858)."""
    entry, faults = reader({})
    assert entry.address(value, ("a",)) == ""
    assert [fault.message for fault in faults] == [message]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is missing"),
        (10, "10 is not a CIDR"),
        ("10.0.0.1/33", "'10.0.0.1/33' is not a CIDR"),
        ("10.0.0.1", "'10.0.0.1' is not a CIDR: write 10.0.0.1/32"),
        ("FD00::1", "'FD00::1' is not a CIDR: write fd00::1/128"),
        ("010.0.0.0/8", "'010.0.0.0/8' has leading zeros, which some take for octal: write 10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "'::ffff:10.0.0.0/104' is IPv4 in IPv6's form: write 10.0.0.0/8"),
        ("::ffff:10.0.0.0/95", "'::ffff:10.0.0.0/95' is not a CIDR"),
    ],
)
def test_what_is_no_network(value: object, message: str) -> None:
    entry, faults = reader({})
    assert entry.network(value, ("a",)) == ""
    assert [fault.message for fault in faults] == [message]
    assert entry.network(" 10.1.2.3/8 ", ("a",)) == "10.0.0.0/8"


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.0.1", "::1", "fe80::1"])
def test_addresses_that_only_this_host_knows(address: str) -> None:
    entry, faults = reader({})
    assert entry.address(address, ("a",)) == address
    assert not faults
    assert entry.outward(address, ("a",)) == ""
    assert [fault.message for fault in faults] == [f"{address} is a loopback or link-local address"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ([1], "a list"),
        ({}, "a mapping"),
        ("x", "'x'"),
        (80, "80"),
        ("x" * 100, "'" + "x" * 59 + "… (102 characters)"),
    ],
)
def test_values_in_messages(value: object, text: str) -> None:
    assert short(value) == text


def test_an_empty_namespace_is_none_given() -> None:
    web = service()
    web["metadata"]["namespace"] = ""
    (found,) = catalogue(web).services
    assert found.full_name == "default/web"
