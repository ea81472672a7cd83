"""Services of IPVS mode, which has no names. tests/unit/observe/test_recover.py asks all golden dumps."""

from __future__ import annotations

from typing import Any

import pytest
import support

from sluice.addresses import IPV4
from sluice.backends.iptables import text as ruleset
from sluice.observe import recover_ipvs
from sluice.observe.iptables_rules import Tables
from sluice.observe.recover_ipvs import State
from sluice.observe.recover_rules import Rules
from sluice.observe.recovered import Port, RecoverError

OWN = ["10.0.0.10", "127.0.0.1"]
WEB = Port(
    *("imported", "service-10-96-0-1", "", "tcp", 80, "10.96.0.1"),
    targets=(("10.244.0.1", 8080), ("10.244.0.2", 8080)),
    local=frozenset([("10.244.0.1", 8080)]),
)


def _held(*objects: dict[str, Any], **variables: Any) -> tuple[State, Rules]:
    """What our own state says."""
    state = support.ipvs_state(*objects, node_name="node1", node_addresses=OWN, backend="ipvs", **variables)
    return State(state.tables.sets, state.tables.servers, IPV4), Rules(Tables(ruleset.text(state.rules)), IPV4)


def _service(name: str = "web", ip: str = "10.96.0.1", **spec: Any) -> list[dict[str, Any]]:
    port = {"port": 80, "protocol": "TCP", **({"nodePort": 30080} if spec.get("type") else {})}
    there = support.endpoint("10.244.0.1", node="node1"), support.endpoint("10.244.0.2", node="node2")
    return [support.service(name, ip=ip, ports=[port], **spec), support.endpoint_slice(*there, of=name)]


@pytest.mark.parametrize("compat", ["1.20", "1.36"])
@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, {}),
        ({"externalIPs": ["192.0.2.9"]}, {"external_ips": ("192.0.2.9",)}),
        (
            {
                "type": "LoadBalancer",
                "ingress": ["192.0.2.9"],
                "loadBalancerSourceRanges": ["0.0.0.0/0", "192.0.2.7/32"],
            },
            {"ingress": ("192.0.2.9",), "node_port": 30080},
        ),
        (
            {
                "type": "LoadBalancer",
                "ingress": ["192.0.2.9"],
                "loadBalancerSourceRanges": ["10.0.0.0/8", "192.0.2.7/32"],
            },
            {
                "ingress": ("192.0.2.9",),
                "node_port": 30080,
                "node_may_enter": True,
                "source_ranges": ("10.0.0.0/8", "192.0.2.7/32"),
            },
        ),
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, {"node_port": 30080, "external_local": True}),
        ({"sessionAffinity": "ClientIP"}, {"affinity_seconds": 10800}),
    ],
)
def test_a_port(spec: dict[str, Any], found: dict[str, Any], compat: str) -> None:
    state, _rules = _held(*_service(**spec), compat=compat)
    if compat == "1.20" and "0.0.0.0/0" in spec.get("loadBalancerSourceRanges", ()):
        found = {**found, "source_ranges": ("0.0.0.0/0", "192.0.2.7/32"), "node_may_enter": True}
    assert recover_ipvs.ports(state) == [WEB._replace(**found)]


def test_the_inside_of_a_port_is_local_where_less_answers_there() -> None:
    spec = {"type": "NodePort", "internalTrafficPolicy": "Local"}
    (port,) = recover_ipvs.ports(_held(*_service(**spec))[0])
    assert port == WEB._replace(node_port=30080, internal_local=True)


def test_addresses_go_to_the_service_that_has_their_endpoints() -> None:
    other = support.service("db", ip="10.96.0.2"), support.endpoint_slice("10.244.0.9", of="db")
    state, _rules = _held(*other, *_service(externalIPs=["192.0.2.9"]))
    found = {port.cluster_ip: port.external_ips for port in recover_ipvs.ports(state)}
    assert found == {"10.96.0.2": (), "10.96.0.1": ("192.0.2.9",)}


def test_a_node_port_goes_to_the_service_that_has_its_affinity_and_policy() -> None:
    other = support.service("db", ip="10.96.0.2", externalIPs=["192.0.2.9"])
    sticky = support.service(
        "web", ports=[{"port": 81, "nodePort": 30081}], type="NodePort", sessionAffinity="ClientIP"
    )
    ports = {port.cluster_ip: port for port in recover_ipvs.ports(_held(other, sticky)[0])}
    assert (ports["10.96.0.2"].node_port, ports["10.96.0.1"].node_port) == (0, 30081)


def test_an_address_of_nobody() -> None:
    state, _rules = _held(*_service(externalIPs=["192.0.2.9"]))
    sets = {name: each for name, each in state._sets.items() if name != "KUBE-CLUSTER-IP"}
    with pytest.raises(RecoverError, match=r"192.0.2.9: no cluster IP has its ports and endpoints"):
        recover_ipvs.ports(State(sets, {}, IPV4))
    state, _rules = _held(*_service(type="NodePort"))
    sets = {name: each for name, each in state._sets.items() if name != "KUBE-CLUSTER-IP"}
    with pytest.raises(RecoverError, match="node port 30080: no cluster IP has its endpoints"):
        recover_ipvs.ports(State(sets, {}, IPV4))


def test_families_of_one_service_have_the_same_node_port() -> None:
    four, six = WEB._replace(node_port=30080), WEB._replace(service="service-fd", node_port=30080)
    alone = WEB._replace(service="other")
    assert [port.service for port in recover_ipvs.joined([four, six, alone])] == [four.service, four.service, "other"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {}),
        ({"compat": "1.20"}, {"compat": "1.20"}),
        ({"masquerade_all": True}, {"masquerade_all": True}),
        ({"cluster_cidrs": ["10.244.0.0/16"]}, {"cluster_cidrs": ["10.244.0.0/16"]}),
        ({"ipvs_scheduler": "wrr"}, {"ipvs_scheduler": "wrr"}),
        ({"masquerade_bit": 3}, {"masquerade_bit": 3}),
    ],
)
def test_settings(given: dict[str, Any], found: dict[str, Any]) -> None:
    state, rules = _held(*_service(), **{"cluster_cidrs": [], **given})
    assert recover_ipvs.variables(state, rules) == {"compat": "1.36", "cluster_cidrs": [], **found}


def test_addresses_of_node_ports() -> None:
    state, _rules = _held(*_service(type="NodePort"))
    assert recover_ipvs.node_port_addresses(state) == ["10.0.0.10"]
    assert recover_ipvs.served(state) == {"10.96.0.1"}
