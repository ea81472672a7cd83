"""From service ports in rules to those of manifests."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from sluice.observe.recover_ports import check, port_of
from sluice.observe.recovered import Port, RecoverError
from sluice.observe.service_ports import LOCAL, NO_LOCAL_ENDPOINTS, Endpoint, Endpoints, ServicePort

FOUND = ServicePort("", "shop/web:http", "tcp", "10.96.0.1", 80)
WEB = Port("shop", "web", "http", "tcp", 80, "10.96.0.1")
ONE, TWO = ("10.244.0.1", 8080), ("10.244.0.2", 8080)


def _at(*hosts: tuple[str, int]) -> Endpoints:
    return tuple(Endpoint(f"{address}:{number}", Fraction(1, len(hosts))) for address, number in hosts)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"name": "shop/web"}, {"name": ""}),
        ({"name": "shop/web:"}, {"name": ""}),
        ({"endpoints": _at(ONE, TWO)}, {"targets": (ONE, TWO)}),
        ({"endpoints": _at(ONE), "on_node": frozenset(["10.244.0.1:8080"])}, {"targets": (ONE,), "local": {ONE}}),
        (
            {"endpoints": _at(ONE), "local_endpoints": _at(TWO), "external_policy": LOCAL},
            {"targets": (ONE, TWO), "local": {TWO}, "ending": {TWO}, "external_local": True},
        ),
        (
            {"endpoints": _at(ONE), "local_endpoints": _at(ONE, TWO), "internal_policy": LOCAL},
            {"targets": (ONE, TWO), "local": {ONE, TWO}, "passed_over": {TWO}, "internal_local": True},
        ),
        ({"local_endpoints": _at(TWO)}, {"targets": (TWO,), "local": {TWO}}),
        ({"inside": NO_LOCAL_ENDPOINTS}, {"elsewhere": True}),
        ({"outside": NO_LOCAL_ENDPOINTS, "endpoints": _at(ONE)}, {"targets": (ONE,)}),
        (
            {"external_ips": ("192.0.2.1", "192.0.2.2"), "unsure_ips": ("192.0.2.2",)},
            {"external_ips": ("192.0.2.1",), "refused": ("192.0.2.2",)},
        ),
        ({"source_ranges": ("10.0.0.0/8", "192.0.2.1")}, {"source_ranges": ("10.0.0.0/8", "192.0.2.1/32")}),
    ],
)
def test_a_port(said: dict[str, Any], found: dict[str, Any]) -> None:
    assert port_of(FOUND._replace(**said)) == WEB._replace(**found)
    check(WEB._replace(**found))


@pytest.mark.parametrize("name", ["", "web", "shop/web/tcp", "Shop/web", "shop/web:a b", "shop/we\nb", "../web"])
def test_names_that_no_service_has(name: str) -> None:
    with pytest.raises(RecoverError, match="is no name of a Service's port"):
        port_of(FOUND._replace(name=name))


def test_a_service_without_a_cluster_ip() -> None:
    with pytest.raises(RecoverError, match="shop/web:http: no rule has its cluster IP"):
        port_of(FOUND._replace(cluster_ip=""))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"service": "a: b"}, "name"),
        ({"name": "\n"}, "name"),
        ({"protocol": "icmp"}, "protocol"),
        ({"cluster_ip": "x"}, "address"),
        ({"external_ips": ("10.0.0.1/32",)}, "address"),
        ({"targets": (("10.0.0.01", 80),)}, "address"),
        ({"targets": (("10.0.0.1", 0),)}, "port"),
        ({"node_port": 65536}, "port"),
        ({"source_ranges": ("10.0.0.0/33",)}, "source range"),
        ({"affinity_seconds": 86401}, "timeout"),
    ],
)
def test_what_may_not_stand_in_a_manifest(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(RecoverError, match=f"its {said} is none that a Service can have"):
        check(WEB._replace(**wrong))
