"""Service ports and settings by the comments of rules. tests/unit/observe/test_recover.py asks all golden dumps."""

from __future__ import annotations

from typing import Any

import pytest
import support

from sluice.addresses import IPV4
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.dispatch import MANY_ADDRESSES
from sluice.backends.iptables.text import FILES
from sluice.observe import recover_iptables
from sluice.observe.iptables_rules import Tables
from sluice.observe.recover_iptables import Rules
from sluice.observe.recovered import Port, RecoverError


def _rules(*objects: dict[str, Any], **variables: Any) -> Rules:
    """What our own rules say."""
    return Rules(Tables(support.rendered(support.catalogue(*objects), support.node(**variables))[FILES[IPV4]]), IPV4)


def _service(**spec: Any) -> list[dict[str, Any]]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    if spec.get("type"):
        ports[0]["nodePort"] = 30080
    slices = support.endpoint_slice(
        support.endpoint("10.244.0.1", node="node1"),
        support.endpoint("10.244.0.2", node="node2"),
        of="web",
        ports=[{"name": "http", "port": 8080, "protocol": "TCP"}],
    )
    return [support.service("web", ip="10.96.0.1", ports=ports, **spec), slices]


WEB = Port("shop", "web", "http", "tcp", 80, "10.96.0.1", targets=(("10.244.0.1", 8080), ("10.244.0.2", 8080)))


@pytest.mark.parametrize("compat", ["1.18", "1.20", "1.36"])
@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, {}),
        ({"externalIPs": ["192.0.2.9"]}, {"external_ips": ("192.0.2.9",)}),
        (
            {"type": "LoadBalancer", "ingress": ["192.0.2.9"], "loadBalancerSourceRanges": ["203.0.113.0/24"]},
            {"ingress": ("192.0.2.9",), "node_port": 30080, "source_ranges": ("203.0.113.0/24",)},
        ),
        (
            {"type": "NodePort", "externalTrafficPolicy": "Local"},
            {"node_port": 30080, "external_local": True, "local": frozenset([("10.244.0.1", 8080)])},
        ),
        ({"sessionAffinity": "ClientIP"}, {"affinity_seconds": 10800}),
    ],
)
def test_a_port(spec: dict[str, Any], found: dict[str, Any], compat: str) -> None:
    (port,) = recover_iptables.ports(_rules(*_service(**spec), compat=compat, node_name="node1"))
    assert port == WEB._replace(**found)


def test_hints_leave_a_local_endpoint_to_another_node() -> None:
    service, piece = _service(type="NodePort", externalTrafficPolicy="Local")
    for endpoint, node in zip(piece["endpoints"], ("node1", "node2")):
        endpoint["nodeName"] = "node1"
        endpoint["hints"] = {"forNodes": [{"name": node}]}
    (port,) = recover_iptables.ports(_rules(service, piece, node_name="node1"))
    assert (port.passed_over, port.ending) == (frozenset([("10.244.0.2", 8080)]), frozenset())


def test_what_has_no_endpoints() -> None:
    service = _service(type="LoadBalancer", ingress=["192.0.2.9"])[0]
    (port,) = recover_iptables.ports(_rules(service))
    assert port == WEB._replace(targets=(), node_port=30080, refused=("192.0.2.9",))
    (other,) = recover_iptables.ports(_rules(_service(externalIPs=["192.0.2.9"])[0]))
    assert other == WEB._replace(targets=(), refused=("192.0.2.9",))


@pytest.mark.parametrize("compat", ["1.18", "1.20", "1.36"])
def test_a_tree_of_prefix_chains(compat: str) -> None:
    objects = [support.service(f"w{each}", ip=f"10.96.{each}.1", externalIPs=[f"192.0.2.{each}"]) for each in range(40)]
    objects += [support.endpoint_slice("10.0.0.1", of=f"w{each}") for each in range(40)]
    found = [
        recover_iptables.found(_rules(*objects, compat=compat, iptables_dispatch=dispatch))
        for dispatch in ("linear", "prefix")
    ]
    assert sorted(found[0].ports) == sorted(found[1].ports)
    assert found[1].said == {**found[0].said, "iptables_dispatch": "prefix"}
    tables = _rules(*objects, compat=compat, iptables_dispatch="prefix").tables
    former = recover_iptables.found(Rules(Tables(support.with_former_names(ruleset.text(tables.rules))), IPV4))
    assert (sorted(former.ports), former.said) == (sorted(found[1].ports), found[1].said)


@pytest.mark.parametrize("dispatch", ["auto", "linear", "prefix"])
def test_long_lists_are_told_from_trees(dispatch: str) -> None:
    """The import gives the rules of the dump, also where a longer list would be a tree."""
    many = MANY_ADDRESSES + 40
    objects = [support.service(f"w{each}", ip=f"10.96.{each // 250}.{each % 250 + 1}") for each in range(many)]
    objects += [support.endpoint_slice("10.0.0.1", of=f"w{each}") for each in range(many - 30)]
    said = recover_iptables.found(_rules(*objects, iptables_dispatch=dispatch)).said
    assert said.get("iptables_dispatch", "auto") == dispatch


def test_the_policy_of_what_has_no_endpoints() -> None:
    """Up to 1.23 a chain tells it to which no rule leads."""
    service = _service(type="NodePort", externalTrafficPolicy="Local")[0]
    for compat in ("1.18", "1.20"):
        (port,) = recover_iptables.ports(_rules(service, compat=compat))
        assert port == WEB._replace(targets=(), node_port=30080, external_local=True)


def test_other_rules_are_no_services() -> None:
    text = '-A KUBE-SERVICES -d 192.0.2.1/32 -p tcp -m comment --comment "see a/b" -m tcp --dport 80 -j ACCEPT'
    assert not recover_iptables.ports(Rules(Tables(f"*nat\n{text}\n"), IPV4))


def test_others_have_the_endpoints() -> None:
    (port,) = recover_iptables.ports(_rules(*_service(internalTrafficPolicy="Local"), node_name="node3"))
    assert port == WEB._replace(targets=(), internal_local=True, elsewhere=True)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {"compat": "1.36"}),
        ({"compat": "1.20"}, {"compat": "1.20"}),
        ({"masquerade_bit": 3}, {"masquerade_bit": 3}),
        ({"masquerade_all": True}, {"masquerade_all": True}),
        ({"cluster_cidrs": ["10.244.0.0/16"]}, {"cluster_cidrs": ["10.244.0.0/16"]}),
        ({"conntrack_tcp_be_liberal": True}, {"conntrack_tcp_be_liberal": True}),
        ({"localhost_nodeports": False}, {"localhost_nodeports": False}),
        (
            {"nodeport_addresses": ["10.0.0.0/8"], "node_addresses": ["10.0.0.10"]},
            {"nodeport_addresses": ["10.0.0.10/32"]},
        ),
        (
            {"nodeport_addresses": ["127.0.0.0/8"], "localhost_nodeports": False, "node_addresses": ["127.0.0.1"]},
            {"nodeport_addresses": ["0.0.0.0/32"]},
        ),
    ],
)
def test_settings(given: dict[str, Any], found: dict[str, Any]) -> None:
    rules = _rules(*_service(), **{"cluster_cidrs": [], **given})
    said = recover_iptables.variables(rules)
    assert said == {"cluster_cidrs": [], "compat": "1.36", **found}


def test_comments_of_endpoints() -> None:
    for comments, expected in (("always", True), ("never", False)):
        rules = _rules(*_service(), endpoint_comments=comments)
        assert recover_iptables.comments_endpoints(rules) is expected
    assert recover_iptables.comments_endpoints(_rules())


def test_the_node_may_enter() -> None:
    spec = {"type": "LoadBalancer", "ingress": ["192.0.2.9"], "loadBalancerSourceRanges": ["10.0.0.0/8"]}
    for address, expected in (("10.0.0.10", True), ("192.0.2.10", False)):
        rules = _rules(*_service(**spec), node_ips=[address])
        (port,) = recover_iptables.ports(rules)
        assert port.source_ranges == ("10.0.0.0/8",)
        assert port.node_may_enter is expected


def test_a_service_without_cluster_ip() -> None:
    text = '*nat\n-A KUBE-NODEPORTS -p tcp -m comment --comment "a/b:c" -m tcp --dport 30080 -j KUBE-EXT-X\n'
    with pytest.raises(RecoverError, match="a/b:c: no rule has its cluster IP"):
        recover_iptables.ports(Rules(Tables(text), IPV4))


def test_interfaces_tell_no_networks() -> None:
    text = support.rendered(support.catalogue(*_service()), support.node(cluster_cidrs=["10.244.0.0/16"]))[FILES[IPV4]]
    asked = text.replace("! -s 10.244.0.0/16 ", "! -i cbr0 ")
    rules = Rules(Tables(asked), IPV4)
    assert recover_iptables.by_interface(rules)
    assert recover_iptables.variables(rules) == {"cluster_cidrs": [], "compat": "1.36"}
