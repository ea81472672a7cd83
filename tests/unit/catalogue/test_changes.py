"""What differs between two catalogues, in lines by Service."""

from __future__ import annotations

from typing import Any

import pytest
import strategies
import support
from hypothesis import given

from sluice.catalogue import changes
from sluice.catalogue.model import (
    Catalogue,
    Endpoint,
    EndpointSlice,
    HostPort,
    Ingress,
    Node,
    Service,
    ServicePort,
    SlicePort,
)

HTTP = ServicePort("http", "TCP", 80, 8080)
HOST_PORT = HostPort("shop", "edge", "id", "lb1", "TCP", "", 8443, ("10.0.0.5",), 443)


def web(*ends: Endpoint | str, **more: Any) -> Service:
    """The Service shop/web with one port http."""
    found = tuple(Endpoint(end) if isinstance(end, str) else end for end in ends)
    pieces = (EndpointSlice("IPv4", (SlicePort("http", "TCP", 8080),), found),) if found else ()
    return Service("shop", "web", "ClusterIP", ("10.96.0.9",), (HTTP,), pieces)._replace(**more)


def differs(before: Service, after: Service) -> list[str]:
    return changes.lines(Catalogue((before,)), Catalogue((after,)))


def test_endpoints_by_port() -> None:
    assert differs(web("10.78.0.21"), web("10.78.0.24")) == ["shop/web:http: + 10.78.0.24:8080, - 10.78.0.21:8080"]
    assert differs(web("10.78.0.21"), web("10.78.0.21")) == []


def test_an_order_is_no_difference() -> None:
    assert differs(web("10.0.0.1", "10.0.0.2"), web("10.0.0.2", "10.0.0.1")) == []


def test_a_port_without_a_name_and_ipv6() -> None:
    piece = EndpointSlice("IPv6", (SlicePort("", "TCP", 8080),), (Endpoint("fd00::1"),))
    before = web(ports=(HTTP._replace(name=""),))
    assert differs(before, before._replace(slices=(piece,))) == ["shop/web: + [fd00::1]:8080"]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (Endpoint("10.0.0.1", ready=False), "10.0.0.1:8080 ready -> not ready"),
        (Endpoint("10.0.0.1", ready=False, terminating=True), "10.0.0.1:8080 ready -> terminating"),
        (
            Endpoint("10.0.0.1", ready=False, serving=False, terminating=True),
            "10.0.0.1:8080 ready -> terminating and not serving",
        ),
        (Endpoint("10.0.0.1", weight=0), "10.0.0.1:8080 ready -> drained and weight default -> 0"),
        (Endpoint("10.0.0.1", weight=3), "10.0.0.1:8080 weight default -> 3"),
        (Endpoint("10.0.0.1", node="b", zone_hints=("z",)), "10.0.0.1:8080 node none -> b and zone hints + z"),
    ],
)
def test_an_endpoint_that_stays(now: Endpoint, told: str) -> None:
    assert differs(web("10.0.0.1"), web(now)) == [f"shop/web:http: {told}"]


def test_what_comes_or_goes_says_its_state() -> None:
    ends = Endpoint("10.0.0.1", ready=False), Endpoint("10.0.0.2", weight=0)
    assert differs(web(), web(*ends)) == ["shop/web:http: + 10.0.0.1:8080 (not ready), + 10.0.0.2:8080 (drained)"]


def test_of_two_entries_with_one_address_the_better_counts() -> None:
    both = Endpoint("10.0.0.1", ready=False), Endpoint("10.0.0.1")
    assert differs(web("10.0.0.1"), web(*both)) == differs(web("10.0.0.1"), web(*reversed(both))) == []


def test_services_that_come_and_go() -> None:
    new = web("10.0.0.1", Endpoint("10.0.0.2", ready=False), name="new")
    headless = web(name="none", cluster_ips=(), ports=())
    elsewhere = Service("shop", "far", "ExternalName", (), (), external_name="example.org")
    ports = tuple(ServicePort(f"p{port}", "TCP", port, 80, node_port=port) for port in (30001, 30002))
    edge = web("10.0.0.1", name="edge", type="LoadBalancer", ingress=(Ingress("203.0.113.9"),), ports=ports)
    before, after = Catalogue((web(),)), Catalogue((new, edge), idle=(elsewhere, headless))
    assert changes.lines(before, after) == [
        "+ shop/edge (LoadBalancer 10.96.0.9, 203.0.113.9, node port 30001, node port 30002, 1 endpoint)",
        "+ shop/far (ExternalName example.org)",
        "+ shop/new (ClusterIP 10.96.0.9, 2 endpoints, 1 not ready)",
        "+ shop/none (ClusterIP None, 0 endpoints)",
        "- shop/web",
    ]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("type", "NodePort", "type ClusterIP -> NodePort"),
        ("cluster_ips", ("10.96.0.10",), "cluster IPs + 10.96.0.10, - 10.96.0.9"),
        ("external_ips", ("192.0.2.1",), "external IPs + 192.0.2.1"),
        (
            "ingress",
            (Ingress("192.0.2.1"), Ingress("192.0.2.2", "Proxy")),
            "load balancer IPs + 192.0.2.1, + 192.0.2.2 (Proxy)",
        ),
        ("source_ranges", ("10.0.0.0/8",), "source ranges + 10.0.0.0/8"),
        ("affinity_seconds", 600, "session affinity none -> 600 s"),
        ("external_local", True, "external traffic policy Cluster -> Local"),
        ("internal_local", True, "internal traffic policy Cluster -> Local"),
        ("health_check_node_port", 31000, "health check node port none -> 31000"),
        ("annotations", (("scheduler", "wlc"),), "annotations + scheduler=wlc"),
        ("labels", (("app", "web"),), "labels + app=web"),
        ("selector", (("app", "web"),), "selector + app=web"),
        ("external_name", "example.org", "external name none -> example.org"),
        ("load_balancer_class", "a/b", "load balancer class none -> a/b"),
        ("publishes_not_ready", True, "publishes not ready no -> yes"),
        ("ip_family_policy", "SingleStack", "IP family policy none -> SingleStack"),
        ("created", "2026-01-02T03:04:05Z", "created none -> 2026-01-02T03:04:05Z"),
    ],
)
def test_fields_of_a_service(field: str, value: Any, told: str) -> None:
    assert differs(web(), web(**{field: value})) == [f"shop/web: {told}"]


def test_each_field_has_a_case() -> None:
    cases = {case[0] for case in test_fields_of_a_service.pytestmark[0].args[1]}  # type: ignore[attr-defined]
    assert cases == {*Service._fields} - {"namespace", "name", "ports", "slices"}


def test_the_order_of_a_list() -> None:
    before, after = web(cluster_ips=("10.96.0.9", "fd00::9")), web(cluster_ips=("fd00::9", "10.96.0.9"))
    assert differs(before, after) == ["shop/web: cluster IPs 10.96.0.9, fd00::9 -> fd00::9, 10.96.0.9"]


def test_fields_of_a_port_and_of_its_service() -> None:
    after = web("10.0.0.1", type="NodePort", ports=(HTTP._replace(port=81, node_port=30080),))
    assert differs(web(), after) == [
        "shop/web: type ClusterIP -> NodePort",
        "shop/web:http: port 80 -> 81, node port none -> 30080, + 10.0.0.1:8080",
    ]


def test_ports_that_come_and_go() -> None:
    tls = ServicePort("https", "TCP", 443, 8443)
    assert differs(web("10.0.0.1"), web("10.0.0.1", ports=(HTTP, tls))) == [
        "shop/web:https: + port 443/TCP (0 endpoints)"
    ]
    assert differs(web("10.0.0.1", ports=(HTTP, tls)), web(ports=(tls,))) == ["shop/web:http: - port 80/TCP"]


def test_a_service_that_programs_nothing_any_more() -> None:
    assert changes.lines(Catalogue((web(),)), Catalogue(idle=(web(),))) == ["shop/web: is not programmed any more"]
    assert changes.lines(Catalogue(idle=(web(),)), Catalogue((web(),))) == ["shop/web: is programmed now"]


def test_host_ports_and_nodes() -> None:
    other = HOST_PORT._replace(host_ip="192.0.2.1")
    before = Catalogue(host_ports=(HOST_PORT,), nodes=(Node("a", (), ()), Node("b", (), ())))
    after = Catalogue(host_ports=(other,), nodes=(Node("b", (("zone", "z"),), ()), Node("c", (), ())))
    assert changes.lines(before, after) == [
        "host port 8443/TCP on lb1: - shop/edge (10.0.0.5:443)",
        "host port 192.0.2.1:8443/TCP on lb1: + shop/edge (10.0.0.5:443)",
        "- Node a",
        "Node b: labels + zone=z",
        "+ Node c",
    ]
    moved = Catalogue(host_ports=(HOST_PORT._replace(port=444),), nodes=before.nodes)
    assert changes.lines(before, moved) == ["host port 8443/TCP on lb1: port 443 -> 444"]


def test_long_lists_are_cut() -> None:
    ends = [f"10.0.0.{number}" for number in range(20)]
    (line,) = differs(web("10.1.0.1"), web(*ends))
    assert line.count("+ ") == changes.SHOWN
    assert line.endswith(", … and 12 more, - 10.1.0.1:8080")
    assert changes.cut(["a", "b", "c"], 2) == ["a", "b", "… and 1 more"]
    assert changes.cut(["a", "b"], 2) == ["a", "b"]


def test_a_line_stays_one() -> None:
    (line,) = differs(web(), web(labels=(("a", "x\n\x1b[2J"),)))
    assert line == "shop/web: labels + a=x\\n\\x1b[2J"


@given(strategies.catalogues(5), strategies.catalogues(5))
def test_any_catalogue(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    before, after = support.catalogue(*one), support.catalogue(*other)
    assert changes.lines(before, before) == []
    there, back = changes.lines(before, after), changes.lines(after, before)
    assert len(there) == len(back)
    assert all(line.isprintable() for line in there)
