"""Endpoints of a Service: from slices, from Endpoints, and from inventory hosts that a selector selects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bad_input
import pytest
from bad_input import PORT, SAYS, WEB, WEB_1, Bad
from iptables_rules import HERE, balanced, web
from support import endpoint, endpoint_slice, service

from sluice import render
from sluice.catalogue import build, checks, sources
from sluice.catalogue import endpoints as endpoints_module
from sluice.catalogue.manifests import inline
from sluice.catalogue.model import Endpoint, EndpointSlice, SlicePort

CASES = {
    "weight of a slice": Bad('weight: "3"', "weight: -3", WEB_1, f"{SAYS}/weight", "must be text, is -3"),
    "wrong weight of a slice": Bad('weight: "3"', 'weight: "-3"', WEB_1, f"{SAYS}/weight", "is '-3'"),
    "weight of no endpoint": Bad(
        'weight: "3"',
        'weight: "10.244.0.1=3, 10.244.0.7=4"',
        WEB_1,
        f"{SAYS}/weight",
        "10.244.0.7 is none of its endpoints",
        warning=True,
    ),
    "port -1": Bad("  port: 8080\n", "  port: -1\n", WEB_1, "ports[0].port", "-1 is not in 0-65535"),
    "no address": Bad(
        "- 10.244.0.1", "- 10.244.0.256", WEB_1, "endpoints[0].addresses[0]", "'10.244.0.256' is not an IP address"
    ),
    "address of nobody": Bad(
        "- 10.244.0.1", "- 0.0.0.0", WEB_1, "endpoints[0].addresses[0]", "is the address of no host"
    ),
    "address of oneself": Bad("- 10.244.0.1", "- 127.0.0.1", WEB_1, "endpoints[0].addresses[0]", "is a loopback or"),
    "no addresses": Bad(
        "addresses:\n  - 10.244.0.1\n  nodeName",
        "nodeName",
        WEB_1,
        "endpoints[0].addresses",
        "is missing",
        line="- nodeName: node1",
    ),
    "wrong family": Bad(
        "- 10.244.0.1", "- fd00::1", WEB_1, "endpoints[0].addresses[0]", "'fd00::1' is not an IPv4 address"
    ),
    "slice for no Service": Bad(
        "kubernetes.io/service-name: web",
        "kubernetes.io/service-name: wob",
        WEB_1,
        "metadata.labels.kubernetes.io/service-name",
        "left out: there is no Service shop/wob",
        warning=True,
    ),
    "slice without a Service": Bad(
        "labels:\n    kubernetes.io/service-name: web",
        "labels: {}",
        WEB_1,
        "metadata.labels.kubernetes.io/service-name",
        "is missing: a slice of no Service is left out",
        warning=True,
        line="  labels: {}",
    ),
    "address type": Bad(
        "addressType: IPv4", "addressType: ipv4", WEB_1, "addressType", "'ipv4' is not one of IPv4, IPv6, FQDN"
    ),
    "protocol of a slice": Bad(
        "- name: http\n  port",
        "- name: http\n  protocol: tcp\n  port",
        WEB_1,
        "ports[0].protocol",
        "is not one of TCP,",
        line="  protocol: tcp",
    ),
    "port name of a slice": Bad(
        "- name: http\n  port", "- name: h_p\n  port", WEB_1, "ports[0].name", "'h_p' is not a DNS label"
    ),
    "one port name twice in a slice": Bad(
        "- name: http\n  port: 8080\nend",
        "- {name: http, port: 8080}\n- {name: http, port: 8081}\nend",
        WEB_1,
        "ports[1].name",
        "two ports have the name 'http'",
        line="- {name: http, port: 8081}",
    ),
    "second address": Bad(
        "  - 10.244.0.1\n",
        "  - 10.244.0.1\n  - 127.0.0.1\n",
        WEB_1,
        "endpoints[0].addresses[1]",
        "is a loopback or link-local address",
        line="  - 127.0.0.1",
    ),
    "port that no slice has": Bad(
        "- name: http\n  port",
        "- name: web\n  port",
        WEB,
        f"{PORT}.name",
        "its endpoints have no port named 'http': nothing will answer",
        warning=True,
        line="  - name: http\n    port: 80\n",
    ),
    "protocol that no slice has": Bad(
        "protocol: TCP\n    nodePort",
        "protocol: UDP\n    nodePort",
        WEB,
        f"{PORT}.name",
        "its endpoints have no UDP port named 'http': nothing will answer",
        warning=True,
        line="  - name: http\n    port: 80\n    protocol: UDP",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)


def endpoints(*subsets: dict[str, Any], name: str = "web", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "subsets": list(subsets),
    }


ADDRESS = {"ip": "10.244.0.1"}
NO_PORT = "Service: spec.ports[0].port: warning: its endpoints have no port without a name: nothing will answer"


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (endpoints({"addresses": [ADDRESS], "ports": [{"port": 8080}]}), []),
        (endpoints({"notReadyAddresses": [ADDRESS], "ports": [{"port": 8080}]}), []),
        (endpoints(), []),
        (
            endpoints({"addresses": [ADDRESS]}),
            [NO_PORT],
        ),
        (endpoints({"ports": [{"port": 8080}]}), ["subsets[0]: has neither addresses nor notReadyAddresses"]),
        (
            endpoints({"addresses": [], "notReadyAddresses": None, "ports": [{"port": 8080}]}),
            ["subsets[0]: has neither addresses nor notReadyAddresses"],
        ),
        (endpoints({"addresses": "10.244.0.1"}), ["subsets[0].addresses: must be a list, is '10.244.0.1'"]),
        (endpoints({"addresses": [{}]}), ["subsets[0].addresses[0].ip: is missing"]),
        (
            endpoints({"addresses": [{"ip": "127.0.0.1"}]}),
            ["subsets[0].addresses[0].ip: 127.0.0.1 is a loopback or link-local address"],
        ),
        (endpoints({"addresses": [ADDRESS], "ports": [{}]}), ["subsets[0].ports[0].port: is missing"]),
        (
            endpoints({"addresses": [ADDRESS], "ports": [{"port": 0}]}),
            ["subsets[0].ports[0].port: 0 is not in 1-65535"],
        ),
        (
            endpoints({"addresses": [ADDRESS], "ports": [{"port": 8080}, {"port": 8081, "name": "b"}]}),
            ["subsets[0].ports[0].name: is missing: of several ports, each has a name"],
        ),
        (
            endpoints({"addresses": [ADDRESS], "ports": [{"port": 8080, "protocol": "Tcp"}]}),
            ["subsets[0].ports[0].protocol: 'Tcp' is not one of TCP, UDP, SCTP"],
        ),
        (
            endpoints({"addresses": [{**ADDRESS, "nodeName": "a b"}], "ports": [{"port": 8080}]}),
            ["subsets[0].addresses[0].nodeName: 'a b' is not a node's name"],
        ),
        # --- what kube-proxy passes over
        (
            endpoints({"addresses": [ADDRESS]}, name="kube-scheduler"),
            ["metadata.name: warning: left out: there is no Service shop/kube-scheduler"],
        ),
        (
            endpoints({"addresses": [ADDRESS]}, labels={endpoints_module.SKIP_MIRROR_LABEL: "true"}),
            [f"metadata.labels.{endpoints_module.SKIP_MIRROR_LABEL}: warning: left out: it says so itself"],
        ),
        (
            endpoint_slice("10.244.0.1", ports=[{"port": None}, {"name": "a", "port": 0}]),
            [NO_PORT],
        ),
        (
            endpoint_slice("10.244.0.1", ports=[{"name": "A", "port": 1}, {"name": "B", "port": 2}, {"port": 3}]),
            ["ports[0].name: 'A' is not a DNS label", "ports[1].name: 'B' is not a DNS label"],
        ),
        (
            endpoint_slice("10.244.0.1", ports=[{"port": 1}, {"name": "", "port": 2}]),
            ["ports[1].name: two ports have the name ''"],
        ),
        ({**endpoint_slice("10.244.0.1"), "ports": []}, [NO_PORT]),
        ({**endpoint_slice("10.244.0.1"), "ports": None, "endpoints": None}, []),
        (
            {**endpoint_slice("10.244.0.1"), "addressType": None},
            ["addressType: warning: is missing: taken as IPv4"],
        ),
        ({**endpoint_slice("fd00::1"), "addressType": ""}, ["addressType: warning: is missing: taken as IPv6"]),
        (
            {**endpoint_slice("fd00::1"), "addressType": "IP"},
            ["addressType: 'IP' is not one of IPv4, IPv6, FQDN"],
        ),
    ],
)
def test_what_an_api_server_refuses(manifest: dict[str, Any], said: list[str]) -> None:
    found = build.build(inline([service(), manifest])[0]).faults
    assert [
        f"{'Service: ' * (fault.subject == WEB)}{fault.field}: {'warning: ' * fault.warning}{fault.message}"
        for fault in found
    ] == said


def test_endpoints_that_are_left_out_are_no_news_where_their_slices_are() -> None:
    """A cluster has both for the Service ``kubernetes``."""
    beside = endpoints({"addresses": [ADDRESS]}, labels={endpoints_module.SKIP_MIRROR_LABEL: "true"})
    found, faults, _given = build.build(inline([service(), beside, endpoint_slice("10.244.0.2")])[0])
    assert not faults
    assert [end.address for end in found.services[0].slices[0].endpoints] == ["10.244.0.2"]


def test_weights_of_slices_and_endpoints() -> None:
    one, two = (
        {**entry, "metadata": {**entry["metadata"], "annotations": {"sluice.io/weight": weight}}}
        for entry, weight in (
            (endpoint_slice("10.244.1.10", "10.244.1.11", name="a"), "2"),
            (endpoint_slice("10.244.1.12", "10.244.1.13", name="b"), "4, 10.244.1.13=0"),
        )
    )
    plain = endpoint_slice("10.244.1.14", name="c")
    older = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "old", "namespace": "shop", "annotations": {"sluice.io/weight": "10.244.2.1=6"}},
        "subsets": [{"addresses": [{"ip": "10.244.2.1"}, {"ip": "10.244.2.2"}], "ports": [{"port": 8080}]}],
    }
    objects = [service(), one, two, plain, service("old", ip="10.96.0.2"), older]
    found, faults = sources.catalogue_of(sources.read([], objects), (), render.checks_for([]))
    assert not faults
    weights = {end.address: end.weight for of in found.services for piece in of.slices for end in piece.endpoints}
    assert weights == {
        "10.244.1.10": 2,
        "10.244.1.11": 2,
        "10.244.1.12": 4,
        "10.244.1.13": 0,
        "10.244.1.14": None,
        "10.244.2.1": 6,
        "10.244.2.2": None,
    }


def test_beta_slices_name_their_node_by_topology() -> None:
    beta = endpoint_slice({**endpoint("10.244.0.1", ""), "topology": {"kubernetes.io/hostname": "node7"}})
    beta["apiVersion"] = "discovery.k8s.io/v1beta1"
    found, faults = sources.catalogue_of(sources.read([], [service(), beta]), (), checks.NO_CHECKS)
    assert not faults
    assert found.services[0].slices[0].endpoints[0].node == "node7"


def test_hosts_become_endpoints_by_selector() -> None:
    hosts = [
        {"name": "a", "labels": {"app": "web"}, "endpoint_ip": ["10.0.0.1", "fd00::1"], "ports": {"http": 8080}},
        {"name": "b", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.2", "ports": {"http": 81}, "ready": False},
        {"name": "c", "labels": {"app": "db"}, "endpoint_ip": "10.0.0.3"},
        {"name": "d", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.4"},
    ]
    web = service(selector={"app": "web"}, ports=[{"port": 80, "targetPort": "http"}])
    found, faults = sources.catalogue_of(sources.read([], [web]), hosts, render.checks_for([]))
    ends = {
        (end.address, port.port, end.node, end.ready)
        for piece in found.services[0].slices
        for port in piece.ports
        for end in piece.endpoints
    }
    assert ends == {("10.0.0.1", 8080, "*", True), ("fd00::1", 8080, "*", True), ("10.0.0.2", 81, "*", False)}
    (warning,) = faults
    assert "host d has no port 'http'" in warning.message


def test_hosts_with_one_address_are_told() -> None:
    """One of them gets no traffic; on other ports they are two endpoints."""
    hosts = [{"name": name, "labels": {"app": "web"}, "endpoint_ip": "10.0.0.1"} for name in ("a", "b")]
    hosts[0]["ports"], hosts[1]["ports"] = {"http": 80}, {"http": 81}
    web = service(selector={"app": "web"})
    (warning,) = sources.catalogue_of(sources.read([], [web]), hosts, render.checks_for([]))[1]
    said = "spec.selector: warning: hosts a and b are one endpoint: both have the address 10.0.0.1"
    assert str(warning).endswith(said)
    named = service(selector={"app": "web"}, ports=[{"port": 80, "targetPort": "http"}])
    assert not sources.catalogue_of(sources.read([], [named]), hosts, render.checks_for([]))[1]


def test_publish_not_ready_addresses_of_endpoints() -> None:
    legacy = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [{"notReadyAddresses": [{"ip": HERE, "nodeName": "node1"}], "ports": [{"port": 8080}]}],
    }
    assert balanced(web({"publishNotReadyAddresses": True}, legacy)) == [f"{HERE}:8080"]
    assert balanced(web({}, legacy)) == []


def slices_of(*objects: dict[str, Any]) -> tuple[EndpointSlice, ...]:
    found, faults = sources.catalogue_of(sources.read([], [service(), *objects]))
    assert not faults
    return found.services[0].slices


def test_the_first_address_stands_for_all() -> None:
    several = {"addresses": ["10.244.0.1", "10.244.0.2"], "nodeName": "node1"}
    (found,) = slices_of(endpoint_slice(several))
    assert found.endpoints == (Endpoint("10.244.0.1", "node1"),)


def test_what_no_port_can_use_is_left_out() -> None:
    ports = [{"name": "", "port": 8080}, {"name": "all", "port": None}]
    (found,) = slices_of(endpoint_slice("10.244.0.1", ports=ports))
    assert found.ports == (SlicePort("", "TCP", 8080),)
    names = endpoint_slice({"addresses": ["web.example.com"]}, name="names")
    assert slices_of({**names, "addressType": "FQDN"}) == ()


def test_endpoints_become_a_slice_for_each_family() -> None:
    legacy = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [
            {
                "addresses": [{"ip": "10.244.0.1", "nodeName": "node1"}, {"ip": "fd00::1"}],
                "notReadyAddresses": [{"ip": "10.244.0.2"}],
                "ports": [{"port": 8080}],
            }
        ],
    }
    found = slices_of(legacy)
    assert [(piece.family, [(end.address, end.ready) for end in piece.endpoints]) for piece in found] == [
        ("IPv4", [("10.244.0.1", True), ("10.244.0.2", False)]),
        ("IPv6", [("fd00::1", True)]),
    ]
    assert found[0].endpoints[0].node == "node1"


def test_a_host_is_a_hint_to_its_zone_where_that_is_preferred() -> None:
    labels = {"app": "web", "topology.kubernetes.io/zone": "a"}
    host = {"name": "a", "labels": labels, "endpoint_ip": "10.0.0.1", "weight": 3, "node": "a"}
    for preference, zones, nodes in (("", (), ()), ("PreferClose", ("a",), ()), ("PreferSameNode", ("a",), ("a",))):
        web = service(selector={"app": "web"}, trafficDistribution=preference)
        found, faults = sources.catalogue_of(sources.read([], [web]), [host])
        assert not faults
        (end,) = found.services[0].slices[0].endpoints
        assert (end.zone_hints, end.node_hints, end.weight) == (zones, nodes, 3)
