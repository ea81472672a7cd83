"""Objects as an API server shows them, which are the same catalogue when they are read again."""

from __future__ import annotations

import json
from typing import Any

import strategies
import support
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalogue import objects
from sluice.catalogue.model import (
    Catalogue,
    Endpoint,
    EndpointSlice,
    Ingress,
    Node,
    Service,
    ServicePort,
    SlicePort,
)

HTTP = ServicePort("http", "TCP", 80, "web", 30080)
WEB = Service("shop", "web", "ClusterIP", ("10.96.0.10",), (ServicePort("", "TCP", 80, 8080),))
TEXTS = st.sampled_from(["a", "b-c", "example.com/x", "1.20", "yes", "é", ""])
PAIRS = st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=3).map(lambda found: tuple(found.items()))


def test_a_service_with_much() -> None:
    found = Service(
        "shop",
        "web",
        "LoadBalancer",
        ("10.96.0.10", "fd00:96::10"),
        (HTTP, ServicePort("dns", "UDP", 53, 53, 30053)),
        external_ips=("198.51.100.1",),
        ingress=(Ingress("192.0.2.1"), Ingress("192.0.2.2", "Proxy")),
        source_ranges=("10.0.0.0/8",),
        affinity_seconds=60,
        external_local=True,
        internal_local=True,
        health_check_node_port=32000,
        annotations=(("scheduler", "wlc"),),
        labels=(("app", "web"),),
        selector=(("tier", "front"),),
        load_balancer_class="sluice.io/lb",
        publishes_not_ready=True,
        created="2026-01-02T03:04:05Z",
    )
    assert objects.service_object(found) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": {"sluice.io/scheduler": "wlc"},
            "creationTimestamp": "2026-01-02T03:04:05Z",
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10", "fd00:96::10"],
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "PreferDualStack",
            "ports": [
                {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "web", "nodePort": 30080},
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53, "nodePort": 30053},
            ],
            "selector": {"tier": "front"},
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            "internalTrafficPolicy": "Local",
            "externalTrafficPolicy": "Local",
            "externalIPs": ["198.51.100.1"],
            "allocateLoadBalancerNodePorts": True,
            "loadBalancerClass": "sluice.io/lb",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "healthCheckNodePort": 32000,
            "publishNotReadyAddresses": True,
        },
        "status": {
            "loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}]}
        },
    }


def test_a_service_with_little() -> None:
    assert objects.service_object(WEB) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}],
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


def spec(service: Service) -> dict[str, Any]:
    found = objects.service_object(service)["spec"]
    assert isinstance(found, dict)
    return found


def test_the_external_policy_stands_where_the_world_gets_in() -> None:
    assert "externalTrafficPolicy" not in spec(WEB)
    for more in ({"type": "NodePort"}, {"type": "LoadBalancer"}, {"external_ips": ("198.51.100.1",)}):
        assert spec(WEB._replace(**more))["externalTrafficPolicy"] == "Cluster"


def test_nobody_gives_node_ports_where_there_were_none() -> None:
    assert spec(WEB._replace(type="LoadBalancer"))["allocateLoadBalancerNodePorts"] is False
    assert spec(WEB._replace(type="LoadBalancer", ports=(HTTP,)))["allocateLoadBalancerNodePorts"] is True
    assert "allocateLoadBalancerNodePorts" not in spec(WEB._replace(type="NodePort", ports=(HTTP,)))


def test_those_that_program_no_rules() -> None:
    headless = WEB._replace(name="peers", cluster_ips=())
    named = Service("shop", "db", "ExternalName", (), (), external_name="db.example.com")
    other = WEB._replace(name="zz", labels=(("service.kubernetes.io/service-proxy-name", "other"),))
    catalogue = Catalogue((WEB,), idle=(other, named, headless))
    db, peers, web, last = objects.services(catalogue)
    assert (web, last) == (WEB, other)
    assert spec(db) == {"type": "ExternalName", "externalName": "db.example.com", "sessionAffinity": "None"}
    shown = spec(peers)
    assert (shown["clusterIP"], shown["clusterIPs"]) == ("None", ["None"])
    assert not {"ipFamilies", "ipFamilyPolicy"} & set(shown)
    assert [service.name for service in objects.with_endpoints(catalogue)] == ["peers", "web", "zz"]


def test_the_order_is_that_of_an_api_server() -> None:
    """That of keys ``namespace/name``: a minus comes before a slash."""
    found = objects.services(Catalogue((WEB._replace(namespace="a"), WEB._replace(namespace="a-b", name="x"))))
    assert [service.full_name for service in found] == ["a-b/x", "a/web"]
    nodes = Catalogue(nodes=(Node("b", (), ()), Node("a", (), ())))
    assert [node.name for node in objects.nodes(nodes)] == ["a", "b"]


def test_subsets_have_an_address_once_with_all_of_its_ports() -> None:
    http, dns = SlicePort("http", "TCP", 8080), SlicePort("dns", "UDP", 53)
    one = Endpoint("10.0.0.1", "node1")
    late = Endpoint("10.0.0.10", ready=False)
    going = Endpoint("10.0.0.3", ready=False, terminating=True)
    slices = (
        EndpointSlice("IPv4", (http,), (Endpoint("10.0.0.2"), one, late, going)),
        EndpointSlice("IPv4", (http,), (one,)),
        EndpointSlice("IPv4", (dns,), (one,)),
    )
    service = WEB._replace(slices=slices, labels=(("app", "web"),), annotations=(("weight", "2"),))
    assert objects.endpoints_object(service) == {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "subsets": [
            {
                "addresses": [{"ip": "10.0.0.2"}],
                "notReadyAddresses": [{"ip": "10.0.0.10"}],
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            },
            {
                "addresses": [{"ip": "10.0.0.1", "nodeName": "node1"}],
                "ports": [
                    {"name": "http", "port": 8080, "protocol": "TCP"},
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                ],
            },
        ],
    }
    assert "subsets" not in objects.endpoints_object(WEB)


# --- the way back


def again(*found: dict[str, Any]) -> Catalogue:
    return support.catalogue(*json.loads(json.dumps(found)))


DUAL = ["PreferDualStack", "RequireDualStack"]


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """Of ``strategies.catalogues``, with what people ask of Services."""
    found = support.catalogue(*draw(strategies.catalogues(max_services=4)))
    services = [
        service._replace(
            labels=draw(PAIRS),
            selector=draw(PAIRS),
            annotations=draw(st.sampled_from([(), (("scheduler", "sh"), ("scheduler-flags", "sh-port"))])),
            load_balancer_class=draw(st.sampled_from(["", "x/y"])) if service.type == "LoadBalancer" else "",
            publishes_not_ready=draw(st.booleans()),
            created=draw(st.sampled_from(["", "2026-01-02T03:04:05Z"])),
            ip_family_policy=draw(st.sampled_from([["SingleStack"], DUAL][len(service.cluster_ips) - 1])),
            external_local=service.external_local and (service.type != "ClusterIP" or bool(service.external_ips)),
        )
        for service in found.services
    ]
    return Catalogue(tuple(services))


@given(catalogues())
def test_services_come_back(catalogue: Catalogue) -> None:
    found = again(*map(objects.service_object, objects.services(catalogue)))
    assert found.services == tuple(service._replace(slices=()) for service in catalogue.services)


def ends(service: Service) -> set[tuple[Any, ...]]:
    """What Endpoints can say of a Service."""
    return {
        (piece.family, port, end.address, end.node, end.ready, end.weight)
        for piece in service.slices
        for end in piece.endpoints
        for port in piece.ports
        if end.ready or not end.terminating
    }


@given(catalogues(), st.dictionaries(st.sampled_from(["10.244.0.1", "fd00:244::2"]), st.integers(0, 9)))
def test_endpoints_come_back(catalogue: Catalogue, weights: dict[str, int]) -> None:
    services = [
        service._replace(
            publishes_not_ready=False,
            slices=tuple(
                piece._replace(
                    endpoints=tuple(end._replace(weight=weights.get(end.address)) for end in piece.endpoints)
                )
                for piece in service.slices
            ),
        )
        for service in catalogue.services
    ]
    shown = [make(service) for service in services for make in (objects.service_object, objects.endpoints_object)]
    found = again(*shown)
    assert list(map(ends, found.services)) == list(map(ends, services))
    assert [objects.endpoints_object(service) for service in found.services] == shown[1::2], "and once more the same"


@given(
    st.builds(
        Node,
        name=st.just("lb1"),
        labels=PAIRS,
        addresses=st.sampled_from([(), ("10.0.0.1",), ("fd00::1", "10.0.0.1")]),
        external_addresses=st.sampled_from([(), ("192.0.2.1",)]),
        status=st.sampled_from(["Ready", "NotReady", "Unknown", "Ready,SchedulingDisabled"]),
        info=st.sampled_from([(), (("kubeletVersion", "v1.36.2"), ("osImage", "Debian GNU/Linux 12 (bookworm)"))]),
        created=st.sampled_from(["", "2026-01-02T03:04:05Z"]),
    )
)
def test_nodes_come_back(node: Node) -> None:
    assert again(objects.node_object(node)).nodes == (node,)
