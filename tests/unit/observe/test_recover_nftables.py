"""Services and settings of kube-proxy's nftables mode. tests/unit/observe/test_recover.py asks all golden cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kube_proxy_nft
import pytest
import support

from sluice import view
from sluice.addresses import IPV4, IPV6
from sluice.observe import recover_nftables
from sluice.observe.nftables import Table
from sluice.observe.recover import recover
from sluice.observe.recovered import Port, RecoverError
from sluice.observe.snapshot import snapshot

LAYOUTS = pytest.mark.parametrize("layout", kube_proxy_nft.LAYOUTS)
WEB = Port(
    *("shop", "web", "", "tcp", 80, "10.96.0.1"),
    targets=(("10.244.0.1", 8080), ("10.244.0.2", 8080)),
    local=frozenset([("10.244.0.1", 8080)]),
)


def _text(*objects: dict[str, Any], layout: str = kube_proxy_nft.LATE, family: str = IPV4, **variables: Any) -> str:
    own = support.node(**{"node_name": "node1", "nodeport_addresses": ["primary"], **variables})
    return kube_proxy_nft.table(view.view(support.catalogue(*objects), own, family), own, layout)


def _read(text: str) -> Table:
    (table,) = snapshot([("dump", text)]).nftables
    return table


def _ports(table: Table) -> list[Port]:
    return recover_nftables.found(table).ports


def _service(**spec: Any) -> list[dict[str, Any]]:
    port = {"port": 80, "protocol": "TCP", **({"nodePort": 30080} if spec.get("type") else {})}
    there = support.endpoint("10.244.0.1", node="node1"), support.endpoint("10.244.0.2", node="node2")
    return [support.service("web", ports=[port], **spec), support.endpoint_slice(*there, of="web")]


@LAYOUTS
@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, {}),
        ({"externalIPs": ["192.0.2.9"]}, {"refused": ("192.0.2.9",)}),
        ({"type": "NodePort", "externalIPs": ["192.0.2.9"]}, {"ingress": ("192.0.2.9",), "node_port": 30080}),
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
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, {"node_port": 30080, "external_local": True}),
        ({"internalTrafficPolicy": "Local"}, {"internal_local": True, "targets": (("10.244.0.1", 8080),)}),
        ({"sessionAffinity": "ClientIP"}, {"affinity_seconds": 10800}),
    ],
)
def test_a_port(spec: dict[str, Any], found: dict[str, Any], layout: str) -> None:
    (port,) = _ports(_read(_text(*_service(**spec), layout=layout)))
    if layout == kube_proxy_nft.EARLY and not {"external_local", "internal_local"} & found.keys():
        found = {**found, "local": frozenset()}  # no rule tells where endpoints are
    assert port == WEB._replace(**found)


def test_what_has_no_endpoints() -> None:
    service = _service(type="LoadBalancer", ingress=["192.0.2.9"])[0]
    (port,) = _ports(_read(_text(service)))
    assert port == WEB._replace(targets=(), local=frozenset(), node_port=30080, ingress=("192.0.2.9",))
    (port,) = _ports(_read(_text(*_service(internalTrafficPolicy="Local"), node_name="node3")))
    assert port == WEB._replace(targets=(), local=frozenset(), internal_local=True, elsewhere=True)


def test_cluster_ips_where_no_set_tells_them() -> None:
    other = support.service("none", ip="10.96.0.7", type="NodePort", externalIPs=["192.0.2.9"])
    text = _text(*_service(), other)
    assert {port.cluster_ip for port in _ports(_read(text))} == {"10.96.0.1", "10.96.0.7"}
    without = text.replace("set cluster-ips", "set others")
    assert _ports(_read(without)) == _ports(_read(text))


@LAYOUTS
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {}),
        ({"masquerade_all": True}, {"masquerade_all": True}),
        ({"cluster_cidrs": ["10.244.0.0/16"]}, {"cluster_cidrs": ["10.244.0.0/16"]}),
        ({"service_cidrs": ["10.96.0.0/16"]}, {"service_cidrs": ["10.96.0.0/16"]}),
        (
            {"cluster_cidrs": ["10.244.0.0/16"], "masquerade_bit": 3},
            {"masquerade_bit": 3, "cluster_cidrs": ["10.244.0.0/16"]},
        ),
        ({"nodeport_addresses": ["10.0.0.0/8"]}, {"nodeport_addresses": ["10.0.0.10/32"]}),
        ({"nodeport_addresses": ["192.0.2.0/24"]}, {"nodeport_addresses": ["0.0.0.0/32"]}),
    ],
)
def test_settings(given: dict[str, Any], found: dict[str, Any], layout: str) -> None:
    table = _read(_text(*_service(), layout=layout, **given))
    plain = {"backend": "nftables", "cluster_cidrs": [], "service_cidrs": [], "nodeport_addresses": ["10.0.0.10/32"]}
    assert recover_nftables.found(table).said == {**plain, **found}


@pytest.mark.parametrize(("family", "found"), [(IPV4, {"localhost_nodeports": False}), (IPV6, {})])
def test_node_ports_at_all_addresses(family: str, found: dict[str, Any]) -> None:
    said = recover_nftables.found(_read(_text(family=family, nodeport_addresses=[]))).said
    assert said == {"backend": "nftables", "cluster_cidrs": [], "service_cidrs": [], **found}


@pytest.mark.parametrize("asks", ['iifname != "cbr0"', "iif != 5"])
def test_interfaces_tell_nothing(asks: str) -> None:
    text = _text(*_service(), cluster_cidrs=["10.244.0.0/16"]).replace("ip saddr != 10.244.0.0/16", asks)
    found = recover(snapshot([("dump", text)]), "lb1")
    assert not {"sluice_masquerade_all", "sluice_cluster_cidrs"} & found.variables.keys()
    assert found.warnings == [
        "IPv4: an interface tells what comes from Pods, sluice_cluster_cidrs has to say which addresses do"
    ]


def test_what_no_rule_tells_is_a_warning() -> None:
    spec = {"type": "LoadBalancer", "ingress": ["192.0.2.9"], "externalTrafficPolicy": "Local"}
    text = _text(*_service(**spec)).replace("map no-endpoint-nodeports {", "map no-endpoint-nodeports {\n#")
    text = text.replace(
        "map no-endpoint-nodeports {\n#\n\t\ttype inet_proto . inet_service : verdict",
        "map no-endpoint-nodeports {\ntype inet_proto . inet_service : verdict\nelements = { tcp . 30004 : drop }",
    )
    assert recover(snapshot([("dump", text)]), "node1").warnings == [
        (
            "IPv4: shop/web: nftables does not tell external IPs from addresses of load balancers, "
            "with node ports they are the latter"
        ),
        "IPv4: 1 addresses and node ports are left out, no rule tells whose they are",
        "shop/web: no rule has the health check node port, another one is given",
    ]


def test_a_table_as_others_write_it() -> None:
    found = recover(snapshot([("dump", (Path(__file__).parent / "kube-proxy.nft").read_text())]), "lb1")
    names = [each["metadata"]["name"] for each in found.objects if each["kind"] == "Service"]
    assert names == ["empty", "sticky", "web"]
    assert found.variables["sluice_cluster_cidrs"] == ["10.244.0.0/16"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("shop/web/tcp", "Shop/we\\b/tcp"), "is no name of a Service's port"),
        (("10.96.0.1 . tcp . 80", "x10.96.0.1 . tcp . 80"), "its address is none that a Service can have"),
        (("10.96.0.1 . tcp . 80", "10.96.0.1 . tcp . 0"), "its port is none that a Service can have"),
    ],
)
def test_what_cannot_be_imported(wrong: tuple[str, str], said: str) -> None:
    text = _text(*_service()).replace(*wrong)
    with pytest.raises(RecoverError, match=said):
        recover(snapshot([("dump", text)]), "lb1")
