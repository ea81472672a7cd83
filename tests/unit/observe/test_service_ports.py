"""What is known of a service port, for programs and for people."""

from __future__ import annotations

import json
from fractions import Fraction

from sluice.addresses import IPV4, IPV6
from sluice.observe.service_ports import Endpoint, ServicePort, evenly

PORT = ServicePort("iptables", "shop/web", "tcp", "10.96.0.1", 80)


def test_type_is_the_least_that_has_such_addresses() -> None:
    assert PORT.kind == "ClusterIP"
    assert PORT._replace(node_port=30080).kind == "NodePort"
    assert PORT._replace(node_port=30080, load_balancer_ips=("198.51.100.9",)).kind == "LoadBalancer"


def test_family_is_that_of_any_address() -> None:
    assert PORT.family == IPV4
    assert PORT._replace(cluster_ip="", external_ips=("fd00::1",)).family == IPV6
    of_node = PORT._replace(cluster_ip="", local_endpoints=(Endpoint("[fd00::1]:80", Fraction(1)),))
    assert of_node.family == IPV6


def test_slots_of_one_endpoint_are_added_up() -> None:
    assert evenly(["b:1", "a:1", "b:1"]) == (Endpoint("a:1", Fraction(1, 3)), Endpoint("b:1", Fraction(2, 3)))


def test_json_has_fractions_as_text() -> None:
    fields = PORT._replace(endpoints=evenly(["a:1", "b:1"])).fields()
    assert json.loads(json.dumps(fields))["endpoints"][0] == {"address": "a:1", "share": "1/2", "weight": None}
