"""Services and settings of Sluice's own tables. tests/property/test_recover.py asks random catalogues."""

from __future__ import annotations

from typing import Any

import pytest
import support

from sluice import addresses
from sluice.addresses import IPV4, IPV6
from sluice.backends.nftables.text import FILE
from sluice.observe import recover_flat
from sluice.observe.nftables import Table
from sluice.observe.recover import recover
from sluice.observe.recovered import Port
from sluice.observe.snapshot import snapshot

WEB = Port(*("shop", "web", "", "tcp", 80, "10.96.0.1"), targets=(("10.244.0.1", 8080), ("10.244.0.2", 8080)))


def _text(*objects: dict[str, Any], **variables: Any) -> str:
    own = support.node(backend="nftables", **variables)
    return support.rendered(support.catalogue(*objects), own)[FILE]


def _table(*objects: dict[str, Any], **variables: Any) -> Table:
    (table,) = snapshot([("dump", _text(*objects, **variables))]).nftables
    return table


def _service(*endpoints: Any, annotations: Any = None, **spec: Any) -> list[dict[str, Any]]:
    port = {"port": 80, "protocol": "TCP", **({"nodePort": 30080} if spec.get("type") else {})}
    about = {"annotations": annotations} if annotations else {}
    there = endpoints or ("10.244.0.1", "10.244.0.2")
    return [support.service("web", ports=[port], **about, **spec), support.endpoint_slice(*there, of="web")]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, {}),
        ({"externalIPs": ["192.0.2.9"]}, {"refused": ("192.0.2.9",)}),
        ({"type": "LoadBalancer", "ingress": ["192.0.2.9"]}, {"ingress": ("192.0.2.9",), "node_port": 30080}),
        (
            {
                "type": "LoadBalancer",
                "ingress": ["192.0.2.9"],
                "externalIPs": ["192.0.2.10"],
                "loadBalancerSourceRanges": ["10.0.0.0/8", "192.0.2.7/32"],
            },
            {
                "ingress": ("192.0.2.9",),
                "external_ips": ("192.0.2.10",),
                "node_port": 30080,
                "node_may_enter": True,
                "source_ranges": ("10.0.0.0/8", "192.0.2.7/32"),
            },
        ),
        ({"sessionAffinity": "ClientIP"}, {"affinity_seconds": 10800}),
        ({"annotations": {"sluice.io/hash": "source"}}, {"hashed": "source"}),
        ({"annotations": {"sluice.io/hash": "source-port"}}, {"hashed": "source-port"}),
        (
            {"annotations": {"sluice.io/weight": "2, 10.244.0.2=6"}},
            {"weights": {"10.244.0.1": 1, "10.244.0.2": 3}},
        ),
    ],
)
def test_a_port(spec: dict[str, Any], found: dict[str, Any]) -> None:
    assert recover_flat.found(_table(*_service(**spec))).ports == [WEB._replace(**found)]


def test_what_only_keeps_its_clients() -> None:
    ends = support.endpoint("10.244.0.2", ready=False, serving=True, terminating=True)
    (port,) = recover_flat.found(_table(*_service("10.244.0.1", ends, sessionAffinity="ClientIP"))).ports
    assert port == WEB._replace(affinity_seconds=10800, ending=frozenset([("10.244.0.2", 8080)]))


@pytest.mark.parametrize(
    "annotations",
    [{"sluice.io/weight": "10.244.0.2=3"}, {"sluice.io/hash": "source"}, {"sluice.io/hash": "source-port"}],
)
def test_annotations_come_again(annotations: dict[str, str]) -> None:
    text = _text(*_service(annotations=annotations))
    found = recover(snapshot([("dump", text)]), "node1")
    (kept,) = (each["metadata"]["annotations"] for each in found.objects if each["kind"] == "Service")
    assert kept.keys() == annotations.keys()
    assert support.rendered(support.catalogue(*found.objects), support.node(backend="nftables"))[FILE] == text


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {}),
        ({"masquerade_all": True}, {"masquerade_all": True}),
        ({"masquerade_bit": 3}, {"masquerade_bit": 3}),
        ({"cluster_cidrs": ["10.244.0.0/16"]}, {"cluster_cidrs": ["10.244.0.0/16"]}),
        ({"localhost_nodeports": False}, {"localhost_nodeports": False}),
        ({"conntrack_tcp_be_liberal": True}, {"conntrack_tcp_be_liberal": True}),
        ({"affinity_clients": 1000}, {"affinity_clients": 1000}),
        ({"nodeport_addresses": ["primary"]}, {"nodeport_addresses": ["10.0.0.10/32"]}),
        ({"nodeport_addresses": ["192.0.2.0/24"]}, {"nodeport_addresses": ["0.0.0.0/32"]}),
        (
            {"nodeport_addresses": ["127.0.0.0/8"], "node_addresses": ["10.0.0.10"]},
            {"nodeport_addresses": [addresses.LOOPBACK[IPV4]]},
        ),
    ],
)
def test_settings(given: dict[str, Any], found: dict[str, Any]) -> None:
    assert recover_flat.found(_table(*_service(), **given)).said == {
        "backend": "nftables",
        "cluster_cidrs": [],
        **found,
    }


def test_what_no_rule_tells_is_a_warning() -> None:
    name = "n" * 63
    port = [{"port": 80, "name": "p" * 15}]
    objects = [
        {
            **support.service(name, ip=["10.96.0.2", "fd00:96::2"], ports=port),
            "metadata": {"name": name, "namespace": name},
        },
        *_service(annotations={"sluice.io/hash": "source"}),
    ]
    text = _text(*objects, ip_families=[IPV4, IPV6], flowtable=["eth0"], health=True)
    found = recover(snapshot([("dump", text)]), "lb1")
    assert found.warnings == [
        *(
            "IPv4: 1 service ports have names that are too long for nftables, and get others",
            "IPv4: shop/web: if endpoints have weights, no rule of a hash tells them",
        ),
        *(f"IPv4: rules ask for {name}, which is not told" for name in ("sluice_flowtable", "sluice_health")),
        "IPv6: 1 service ports have names that are too long for nftables, and get others",
        *(f"IPv6: rules ask for {name}, which is not told" for name in ("sluice_flowtable", "sluice_health")),
    ]
    names = [each["metadata"]["name"] for each in found.objects if each["kind"] == "Service"]
    assert names == ["service-a600002", "service-fd000096000000000000000000000002", "web"]
    assert "sluice_takeover" not in found.variables
