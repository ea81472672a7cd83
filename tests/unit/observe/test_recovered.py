"""Service ports as manifests."""

from __future__ import annotations

import pytest

from sluice.observe.recovered import STAND_IN, Port, objects

WEB = Port("shop", "web", "http", "tcp", 80, "10.96.0.1", targets=(("10.244.0.1", 8080), ("10.244.0.2", 8080)))
ENDPOINTS = [{"addresses": ["10.244.0.1"]}, {"addresses": ["10.244.0.2"]}]


def test_a_service_with_its_slice() -> None:
    service, piece = objects([WEB], "node1")
    assert service == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"],
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        },
    }
    assert piece["metadata"]["labels"] == {"kubernetes.io/service-name": "web"}
    assert piece["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert piece["endpoints"] == ENDPOINTS


def test_ports_of_the_same_endpoints_share_a_slice_and_families_do_not() -> None:
    tls = WEB._replace(name="tls", number=443, targets=(("10.244.0.1", 8443), ("10.244.0.2", 8443)))
    six = WEB._replace(cluster_ip="fd00:96::1", targets=(("fd00:244::1", 8080),))
    service, four, other = objects([WEB, tls, six], "node1")
    assert service["spec"]["clusterIPs"] == ["10.96.0.1", "fd00:96::1"]
    assert [port["port"] for port in service["spec"]["ports"]] == [80, 443]
    assert [port["port"] for port in four["ports"]] == [8080, 8443]
    assert (four["addressType"], other["addressType"]) == ("IPv4", "IPv6")


def test_endpoints_with_ports_of_their_own_have_slices_of_their_own() -> None:
    service, *slices = objects([WEB._replace(targets=(("10.244.0.1", 1), ("10.244.0.2", 2)))], "node1")
    assert "targetPort" not in service["spec"]["ports"][0]
    assert [each["ports"][0]["port"] for each in slices] == [1, 2]
    assert len({each["metadata"]["name"] for each in slices}) == 2


def test_what_is_on_the_node_says_so_wherever_it_stands() -> None:
    local = WEB._replace(service="api", local=frozenset([("10.244.0.2", 8080)]))
    _api, _slice, _web, piece = objects([WEB, local], "node1")
    assert piece["endpoints"] == [ENDPOINTS[0], {**ENDPOINTS[1], "nodeName": "node1"}]


def test_what_is_local_to_others_is_not_to_a_service_whose_rules_say_so() -> None:
    other = WEB._replace(service="api", local=frozenset([("10.244.0.2", 8080)]))
    *_api, piece = objects([WEB._replace(external_local=True), other], "node1")
    assert piece["endpoints"] == ENDPOINTS


def test_what_terminates_and_what_nobody_names() -> None:
    ends = WEB._replace(ending=frozenset([("10.244.0.1", 8080)]))
    assert list(objects([ends], "n"))[1]["endpoints"][0]["conditions"] == {
        "ready": False,
        "serving": True,
        "terminating": True,
    }
    hinted = WEB._replace(passed_over=frozenset([("10.244.0.1", 8080)]))
    hints = [each["hints"]["forNodes"] for each in list(objects([hinted], "n"))[1]["endpoints"]]
    assert hints == [[{"name": "elsewhere"}], [{"name": "n"}]]
    _service, piece = objects([WEB._replace(targets=(), elsewhere=True)], "n")
    assert piece["endpoints"] == [{"addresses": [STAND_IN["IPv4"]]}]
    assert len(list(objects([WEB._replace(targets=())], "n"))) == 1


@pytest.mark.parametrize(
    ("port", "kind"),
    [
        (WEB._replace(node_port=30080), "NodePort"),
        (WEB._replace(ingress=("192.0.2.1",)), "LoadBalancer"),
        (WEB._replace(health_check_node_port=32000, node_port=30080), "LoadBalancer"),
        (WEB._replace(external_local=True), "LoadBalancer"),
        (WEB._replace(external_ips=("192.0.2.1",)), "ClusterIP"),
    ],
)
def test_types(port: Port, kind: str) -> None:
    service = next(objects([port], "n"))
    assert service["spec"]["type"] == kind
    assert (service["spec"].get("allocateLoadBalancerNodePorts") is False) == (
        kind == "LoadBalancer" and not port.node_port
    )


def test_all_else_of_a_service() -> None:
    port = WEB._replace(
        ingress=("192.0.2.1",),
        external_ips=("192.0.2.2",),
        node_port=30080,
        source_ranges=("10.0.0.0/8",),
        affinity_seconds=600,
        internal_local=True,
        health_check_node_port=32000,
    )
    service = next(objects([port], "n"))
    assert service["status"] == {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    said = service["spec"]
    assert said["externalIPs"] == ["192.0.2.2"]
    assert said["loadBalancerSourceRanges"] == ["10.0.0.0/8"]
    assert (said["externalTrafficPolicy"], said["internalTrafficPolicy"]) == ("Local", "Local")
    assert said["healthCheckNodePort"] == 32000
    assert said["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 600}}


def test_node_ports_of_some_ports_only() -> None:
    service = next(objects([WEB._replace(node_port=30080), WEB._replace(name="tls", number=443)], "n"))
    assert (service["spec"]["type"], service["spec"]["allocateLoadBalancerNodePorts"]) == ("LoadBalancer", False)


def test_weights_and_hashes_are_annotations() -> None:
    service = next(objects([WEB._replace(hashed="source", weights={"10.244.0.1": 1, "10.244.0.2": 3})], "n"))
    assert service["metadata"]["annotations"] == {
        "sluice.io/hash": "source",
        "sluice.io/weight": "10.244.0.1=1, 10.244.0.2=3",
    }
