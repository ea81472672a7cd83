"""What one object may not take from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bad_input
import pytest
from bad_input import PORT, WEB, Bad
from support import service

from sluice.catalogue import build, checks, manifests, sources
from sluice.catalogue.reader import ObjectReader
from sluice.catalogue.services import declared_at
from sluice.faults import InputError

CASES = {
    "same address and port": Bad(
        "clusterIP: 10.96.0.2",
        "clusterIP: 10.96.0.1",
        "Service shop/other",
        "spec.clusterIP",
        "10.96.0.1:80/TCP is Service shop/web's as well (catalogue.yml:13)",
        line="  clusterIP: 10.96.0.1\n  ports",
    ),
    "external address of another": Bad(
        "- 198.51.100.1",
        "- 192.0.2.1\n",
        "Service shop/other",
        "spec.externalIPs[0]",
        "192.0.2.1:80/TCP is Service shop/web's as well",
    ),
    "same node port": Bad(
        "  ports:\n  - port: 80\n",
        "  type: NodePort\n  ports:\n  - nodePort: 30080\n    port: 80\n",
        "Service shop/other",
        f"{PORT}.nodePort",
        "node port 30080/TCP is Service shop/web's as well (catalogue.yml:22)",
        line="  - nodePort: 30080",
    ),
    "declared twice": Bad(
        "name: other",
        "name: web",
        WEB,
        "metadata.name",
        "is declared a second time, first at catalogue.yml:4",
        line="  name: web\n  namespace: shop\nspec:\n  externalIPs",
    ),
    "LB address of a node": Bad(
        "- ip: 192.0.2.1",
        "- ip: 10.0.0.10",
        WEB,
        "status.loadBalancer.ingress[0].ip",
        "10.0.0.10 is a node's own address: what it serves itself on 80/TCP is not reached there",
        warning=True,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)


def pod(name: str, *ports: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"nodeName": "node1", "containers": [{"ports": list(ports)}]},
        "status": {"podIP": "10.244.0.9"},
    }


@pytest.mark.parametrize(
    ("pods", "message"),
    [
        (
            [pod("a", {"containerPort": 1, "hostPort": 1234}), pod("a1", {"containerPort": 1, "hostPort": 234})],
            "has the same chain as one of Pod shop/a",
        ),
        (
            [
                pod(
                    "a",
                    {"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.1"},
                    {"containerPort": 2, "hostPort": 80, "hostIP": "10.0.0.2"},
                )
            ],
            "has the same chain as one of Pod shop/a",
        ),
        (
            [pod("a", {"containerPort": 1, "hostPort": 80}), pod("b", {"containerPort": 1, "hostPort": 80})],
            "host port 80/TCP on node node1 is Pod shop/a's as well",
        ),
    ],
)
def test_host_ports_that_cannot_be_told_apart(pods: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        sources.catalogue_of(sources.read([], pods), (), checks.NO_CHECKS)
    (fault,) = caught.value.faults
    assert message in fault.message


def faults_of(*services: dict[str, Any], **more: Any) -> list[tuple[str, bool]]:
    """The messages, and whether they are warnings."""
    found, faults, _given = build.build(manifests.inline(list(services))[0], checks=checks.Checks(**more))
    assert len(found.services) == len(services)
    return [(fault.message, fault.warning) for fault in faults]


WRITTEN = """\
apiVersion: v1
kind: Service
metadata:
  name: NAME
  annotations: {ANNOTATION}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.NUMBER
  clusterIPs: [10.96.0.NUMBER, "fd00::NUMBER"]
  externalIPs: [198.51.100.NUMBER, EXTERNAL]
  loadBalancerIP: SINGLE
  ports: [{port: 80}]
---
"""


def written(**fields: str) -> str:
    """Two Services, of which the second has these ``fields``, too."""
    text = ""
    for number in (1, 2):
        words = {"NUMBER": str(number), "NAME": f"web{number}", "ANNOTATION": "", "EXTERNAL": f"203.0.113.{number}"}
        piece = WRITTEN
        for word, value in {**words, "SINGLE": f"192.0.2.{number}", **(fields if number == 2 else {})}.items():
            piece = piece.replace(word, value)
        text += piece
    return text


@pytest.mark.parametrize(
    ("fields", "field", "line", "other"),
    [
        ({"SINGLE": "192.0.2.1"}, "spec.loadBalancerIP", 24, 11),
        ({"EXTERNAL": "192.0.2.1"}, "spec.externalIPs[1]", 23, 11),
        ({"SINGLE": "203.0.113.1"}, "spec.loadBalancerIP", 24, 10),
        ({"SINGLE": '"fd00::1"'}, "spec.loadBalancerIP", 24, 9),
        (
            {"ANNOTATION": 'sluice.io/load-balancer-ips: "192.0.2.9, 192.0.2.1"'},
            "metadata.annotations.sluice.io/load-balancer-ips",
            18,
            11,
        ),
        (
            {"ANNOTATION": "metallb.io/loadBalancerIPs: 198.51.100.1"},
            "metadata.annotations.metallb.io/loadBalancerIPs",
            18,
            10,
        ),
    ],
)
def test_an_address_of_two_is_said_where_both_were_written(
    fields: dict[str, str], field: str, line: int, other: int, tmp_path: Path
) -> None:
    (fault,) = bad_input.build(tmp_path, written(**fields), ip_families=["IPv4", "IPv6"])
    assert (fault.subject, fault.field, fault.line) == ("Service default/web2", field, line)
    assert fault.message.endswith(f" is Service default/web1's as well (catalogue.yml:{other})")


def test_a_node_s_address_is_said_where_it_was_written(tmp_path: Path) -> None:
    faults = bad_input.build(tmp_path, written(SINGLE="10.0.0.10"), ip_families=["IPv4", "IPv6"])
    assert [(each.field, each.line) for each in faults] == [("spec.loadBalancerIP", 24)]


def test_an_address_that_nobody_wrote_stays_where_it_was_read() -> None:
    first = service("a", type="LoadBalancer", loadBalancerIP="192.0.2.1")
    reader = ObjectReader(manifests.inline([first])[0][0], "Service", [])
    there = ("status", "loadBalancer", "ingress", 0, "ip")
    assert declared_at(reader, there, "192.0.2.1") == ("spec", "loadBalancerIP")
    assert declared_at(reader, there, "192.0.2.2") == there, "nobody has written it"
    assert declared_at(reader, ("spec", "clusterIP"), "10.96.0.9") == ("spec", "clusterIP")


def test_what_two_services_may_share() -> None:
    udp = [{"port": 80, "protocol": "UDP", "nodePort": 30080}]
    tcp = [{"port": 80, "nodePort": 30080}]
    assert faults_of(service("a", type="NodePort", ports=tcp), service("b", type="NodePort", ports=udp)) == []
    assert faults_of(service("a", ip="10.96.0.2"), service("b", ip="10.96.0.3")) == []


@pytest.mark.parametrize("wrong", [{"port": "80"}, {"port": 80, "protocol": "udp"}])
def test_nothing_follows_from_a_port_that_is_none(wrong: dict[str, Any]) -> None:
    shared = {"type": "NodePort", "externalIPs": ["198.51.100.1"]}
    first = service("a", ports=[wrong], **shared)
    second = service("b", ip="10.96.0.2", ports=[wrong], **shared)
    third = service("c", ip="10.96.0.3", ports=[{"port": 80}], **shared)
    found = faults_of(first, second, third)
    assert len(found) == 2
    assert not [message for message, _warning in found if "as well" in message]


def test_a_health_check_takes_a_node_port_as_well() -> None:
    checked = service("a", type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=30080)
    other = service("b", ip="10.96.0.2", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    ((message, warning),) = faults_of(checked, other)
    assert (message.partition(" (")[0], warning) == ("node port 30080/TCP is Service shop/a's as well", False)
    both = [{"port": 80, "name": "a", "nodePort": 30080}, {"port": 81, "name": "b", "nodePort": 30080}]
    assert faults_of(service(type="NodePort", ports=both)) == [("node port 30080/TCP is there twice", False)]


def test_addresses_outside_the_network_of_services() -> None:
    found = faults_of(service(), service_cidrs=("10.97.0.0/16", "fd00::/64"))
    assert found == [("10.96.0.1 is not in sluice_service_cidrs (10.97.0.0/16, fd00::/64)", True)]
    assert faults_of(service(), service_cidrs=("10.96.0.0/16",)) == []


def test_objects_of_two_kinds_or_namespaces_may_have_one_name() -> None:
    other = service(ip="10.96.0.2")
    other["metadata"]["namespace"] = "other"
    assert faults_of(service(), other) == []
