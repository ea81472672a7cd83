"""What Services are given: once each, never moved, and never what is declared."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from support import endpoint_slice, service

from sluice import pools
from sluice.catalogue import allocations_file, build, manifests
from sluice.catalogue.allocations_file import Given
from sluice.catalogue.build import Built
from sluice.catalogue.checks import DEFAULT_SERVICE_CIDRS, Checks
from sluice.catalogue.model import Service

DUAL = Checks(ip_families=("IPv4", "IPv6"))
PUBLIC = {"name": "public", "addresses": ["203.0.113.0/28"]}


def with_pools(*several: dict[str, Any], **more: Any) -> Checks:
    return DUAL._replace(load_balancer_pools=pools.read(list(several)), **more)


def give(objects: Iterable[dict[str, Any]], before: str = "", checks: Checks = DUAL) -> Built:
    return build.build(
        manifests.inline(list(objects))[0], checks=checks, given=allocations_file.read(before, "allocations.yml")
    )


def faults(built: Built, *, warnings: bool = False) -> list[str]:
    return [str(fault) for fault in built.faults if fault.warning == warnings]


def given_to(built: Built) -> dict[str, Given]:
    assert faults(built) == []
    return dict(built.allocated.given)


def bare(name: str = "web", **spec: Any) -> dict[str, Any]:
    return service(name, ip="", **spec)


def first(built: Built) -> Service:
    return built.catalogue.services[0]


# --- what is given


def test_a_service_of_the_tutorials() -> None:
    built = give([bare(type="NodePort", selector={"app": "web"})])
    found = given_to(built)["shop/web"]
    assert ip_address(found.cluster_ips[0]) in ip_network(DEFAULT_SERVICE_CIDRS[0])
    assert [port for port, _number in found.node_ports] == [80]
    assert 30086 <= found.node_ports[0][1] <= 32767, "not of the lower band"
    assert first(built).cluster_ips == found.cluster_ips
    assert first(built).ports[0].node_port == found.node_ports[0][1]


def test_the_choice_is_the_same_on_any_machine() -> None:
    """Recorded: a change of the hash would move every Service whose file is lost."""
    built = give([bare(type="NodePort", ipFamilyPolicy="PreferDualStack")])
    assert allocations_file.text(given_to(built)).splitlines()[-1] == (
        "shop/web: {clusterIPs: [10.102.38.55, fd00:10:96::383e], nodePorts: {80: 31674}}"
    )


def test_the_order_of_the_files_does_not_matter() -> None:
    objects = [bare(f"s{n}", type="NodePort") for n in range(60)]
    tight = DUAL._replace(service_cidrs=("10.0.0.0/25",), nodeport_range=(30000, 30063))
    assert given_to(give(objects, checks=tight)) == given_to(give(reversed(objects), checks=tight))


def test_all_that_a_load_balancer_needs() -> None:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "tcp", "port": 53}, {"name": "web", "port": 80}]
    built = give([bare(type="LoadBalancer", externalTrafficPolicy="Local", ports=ports)], checks=with_pools(PUBLIC))
    found = given_to(built)["shop/web"]
    assert [port for port, _number in found.node_ports] == [53, 80], "one number for both protocols of a port"
    numbers = [number for _port, number in found.node_ports] + [found.health_check_node_port]
    assert len(set(numbers)) == 3
    assert ip_address(found.load_balancer_ips[0]) in ip_network("203.0.113.0/28")
    assert [each.address for each in first(built).ingress] == list(found.load_balancer_ips)
    assert first(built).health_check_node_port == found.health_check_node_port
    assert first(built).ports[0].node_port == first(built).ports[1].node_port


def test_nothing_is_given_to_those_who_want_nothing() -> None:
    objects = [
        bare("headless", ports=[{"port": 80}]),
        bare("name", type="ExternalName", externalName="example.com"),
        service("declared", type="NodePort", ports=[{"port": 80, "nodePort": 30001}]),
        bare("others", labels={"service.kubernetes.io/service-proxy-name": "x"}),
    ]
    objects[0]["spec"]["clusterIP"] = "None"
    objects[0]["spec"]["clusterIPs"] = ["None"]
    built = give(objects)
    assert given_to(built) == {}
    assert [each.name for each in built.catalogue.services] == ["declared"]
    assert [each.name for each in built.catalogue.idle] == ["headless", "name", "others"]


def test_a_declared_number_of_a_port_serves_its_other_protocol() -> None:
    ports = [{"name": "u", "port": 53, "protocol": "UDP", "nodePort": 30053}, {"name": "t", "port": 53}]
    built = give([service(type="NodePort", ports=ports)])
    assert given_to(built) == {}
    assert [port.node_port for port in first(built).ports] == [30053, 30053]


def test_no_node_ports_where_none_are_wanted() -> None:
    built = give([bare(type="LoadBalancer", allocateLoadBalancerNodePorts=False, loadBalancerIP="192.0.2.1")])
    assert given_to(built)["shop/web"]._replace(cluster_ips=()) == Given()


# --- what is declared


def test_what_is_declared_is_nobody_else_s() -> None:
    """Declared by whoever it be, as whatever: the others are given what is left."""
    network = [str(address) for address in ip_network("10.0.0.0/29").hosts()]
    ports = [{"port": 80, "nodePort": 30001}]
    objects = [
        service("a", ip=network[0], externalIPs=[network[1]]),
        service("b", ip="10.96.0.9", externalIPs=[network[2]]),
        service(
            "c", ip=network[3], type="NodePort", ports=ports, labels={"service.kubernetes.io/service-proxy-name": "x"}
        ),
        bare("d", type="NodePort"),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "agent"},
            "spec": {"nodeName": "node1", "containers": [{"ports": [{"containerPort": 80, "hostPort": 30002}]}]},
            "status": {"podIP": "10.244.0.9"},
        },
        endpoint_slice(network[4], of="d"),
    ]
    checks = DUAL._replace(service_cidrs=("10.0.0.0/29", "10.96.0.0/29"), nodeport_range=(30000, 30002))
    objects[0]["spec"] |= {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}]}
    assert "no node port is left in 30000-30002" in faults(give(objects, checks=checks))[0]
    found = given_to(give(objects, checks=checks._replace(nodeport_range=(30000, 30003))))
    assert found["shop/d"] == Given((network[5],), ((80, 30003),))


def test_a_declared_address_that_was_given_before() -> None:
    before = "a/b: {}\nshop/web: {clusterIPs: [10.96.1.1], nodePorts: {80: 30500}, loadBalancerIPs: [203.0.113.3]}\n"
    for spec, field, what in (
        ({"ip": "10.96.1.1"}, "spec.clusterIP", "10.96.1.1"),
        ({"ip": "10.96.0.9", "externalIPs": ["203.0.113.3"]}, "spec.externalIPs[0]", "203.0.113.3"),
        (
            {"ip": "10.96.0.9", "type": "NodePort", "ports": [{"port": 1, "nodePort": 30500}]},
            "spec.ports[0].nodePort",
            "node port 30500",
        ),
    ):
        built = give([bare(type="LoadBalancer"), service("other", **spec)], before, with_pools(PUBLIC))
        assert faults(built) == [
            (
                f"sluice_manifests[1]: Service shop/other: {field}: {what} was given to Service shop/web"
                " (allocations.yml:2): declare another one, or delete it there, so that shop/web gets another"
            )
        ]
    gone = give([service("other", ip="10.96.1.1")], before)
    assert given_to(gone) == {}, "a Service that is gone has nothing"
    own = give([service(ip="10.96.1.1")], before)
    assert given_to(own) == {}, "and one that declares what it was given is not given it any more"


# --- what was given before


def test_what_was_given_stays() -> None:
    before = "shop/web: {clusterIPs: [10.96.1.1], nodePorts: {80: 30500}}\n"
    built = give([bare(type="NodePort"), bare("other")], before)
    assert given_to(built)["shop/web"] == Given(("10.96.1.1",), ((80, 30500),))
    assert built.allocated.new == ["shop/other"]
    again = give([bare(type="NodePort"), bare("other")], built.allocated.text)
    assert (again.allocated.text, again.allocated.new) == (built.allocated.text, [])


def test_what_a_service_has_no_use_for_is_free() -> None:
    before = (
        "shop/web: {clusterIPs: [10.96.1.1, fd00:10:96::5], nodePorts: {80: 30500, 81: 30501},"
        " healthCheckNodePort: 30502, loadBalancerIPs: [203.0.113.3]}\nshop/gone: {clusterIPs: [10.96.1.2]}\n"
    )
    assert given_to(give([bare()], before)) == {"shop/web": Given(("10.96.1.1",))}
    assert given_to(give([], before)) == {}


def test_a_range_that_has_changed() -> None:
    before = (
        "shop/a: {clusterIPs: [10.96.1.1], nodePorts: {80: 30001}}\n"
        "shop/b: {clusterIPs: [10.96.1.2], nodePorts: {80: 30002}, loadBalancerIPs: [203.0.113.3]}\n"
    )
    checks = with_pools(
        {"name": "new", "addresses": ["198.51.100.0/28"]},
        service_cidrs=("10.112.0.0/16",),
        nodeport_range=(31000, 31999),
    )
    built = give([bare("a", type="NodePort"), bare("b", type="LoadBalancer")], before, checks)
    assert given_to(built)["shop/b"] == Given(("10.96.1.2",), ((80, 30002),), 0, ("203.0.113.3",)), "nothing moves"
    said = [line for line in faults(built, warnings=True) if line.startswith("allocations.yml")]
    assert said == [
        (
            "allocations.yml:1: Service shop/a: clusterIPs: warning: 10.96.1.1 is not in sluice_service_cidrs"
            " (10.112.0.0/16): it stays (and 1 more); delete it here to have another"
        ),
        (
            "allocations.yml:1: Service shop/a: nodePorts.80: warning: 30001 is not in the range of node ports"
            " (31000-31999): it stays (and 1 more); delete it here to have another"
        ),
        (
            "allocations.yml:2: Service shop/b: loadBalancerIPs: warning: 203.0.113.3 is not in any pool of"
            " sluice_load_balancer_pools: it stays; delete it here to have another"
        ),
    ]


def test_two_branches_gave_one_address_twice() -> None:
    before = (
        "shop/a: {clusterIPs: [10.96.1.1], nodePorts: {80: 30001}}\n"
        "shop/b: {clusterIPs: [10.96.1.1], nodePorts: {80: 30001}}\n"
    )
    built = give([bare("a", type="NodePort"), bare("b", type="NodePort")], before)
    assert faults(built) == [
        f"allocations.yml:2: Service shop/b: {what} is Service shop/a's as well (line 1): delete one of them,"
        " it gets another"
        for what in ("clusterIPs: 10.96.1.1", "nodePorts.80: node port 30001")
    ]
    assert given_to(give([bare("b", type="NodePort")], before))["shop/b"].cluster_ips == ("10.96.1.1",)


def test_a_range_without_end() -> None:
    checks = with_pools(
        {"name": "one", "addresses": ["203.0.113.7"]}, service_cidrs=("10.0.0.0/30",), nodeport_range=(30000, 30001)
    )
    objects = [bare(f"s{n}", type="LoadBalancer") for n in range(4)]
    assert [line.partition(": Service shop/")[2] for line in faults(give(objects, checks=checks))] == [
        "s1: spec: no address is left in pool one, also not for 2 more",
        "s2: spec.clusterIP: no address is left in 10.0.0.0/30 (sluice_service_cidrs), also not for 1 more",
        "s2: spec.ports: no node port is left in 30000-30001, also not for 1 more",
    ]
    built = give([bare(ipFamilies=["IPv6"])], checks=DUAL._replace(service_cidrs=("10.0.0.0/24",)))
    assert "there is no IPv6 network in sluice_service_cidrs" in faults(built)[0]


# --- pools


POOLS = (
    {"name": "lan", "addresses": ["10.1.0.0/29"], "namespaces": ["lan"]},
    {"name": "gold", "addresses": ["10.2.0.0/29"], "auto": False},
    {"name": "web", "addresses": ["10.3.0.0/29", "fd03::/64"], "selector": {"tier": "web"}},
)


def balancer(name: str = "web", **spec: Any) -> dict[str, Any]:
    return bare(name, type="LoadBalancer", **spec)


@pytest.mark.parametrize(
    ("spec", "network"),
    [
        ({"labels": {"tier": "web"}}, "10.3.0.0/29"),
        ({"annotations": {"sluice.io/pool": "gold"}}, "10.2.0.0/29"),
        ({"annotations": {"metallb.io/address-pool": "gold"}}, "10.2.0.0/29"),
        ({"labels": {"tier": "web"}, "ipFamilyPolicy": "RequireDualStack"}, "10.3.0.0/29"),
    ],
)
def test_whose_pool_it_is(spec: dict[str, Any], network: str) -> None:
    found = given_to(give([balancer(**spec)], checks=with_pools(*POOLS)))["shop/web"].load_balancer_ips
    assert ip_address(found[0]) in ip_network(network)
    assert len(found) == 1 + ("ipFamilyPolicy" in spec)


def test_no_pool_is_for_it() -> None:
    built = give([balancer()], checks=with_pools(*POOLS))
    assert given_to(built)["shop/web"].load_balancer_ips == ()
    (warning,) = faults(built, warnings=True)
    assert "spec.type: warning: no address for it: give it a loadBalancerIP, or a pool" in warning
    for name, said in (("lan", "pool lan is not for this Service"), ("tin", "there is no pool 'tin' in")):
        built = give([balancer(annotations={"sluice.io/pool": name})], checks=with_pools(*POOLS))
        assert said in faults(built)[0]
    unknown = give([balancer(annotations={"sluice.io/pool": "tin"})], checks=Checks())
    assert (faults(unknown), faults(unknown, warnings=True)) == ([], []), "no node is known, nor its pools"


def test_another_pool_that_a_service_asks_for_moves_it() -> None:
    before = "shop/web: {loadBalancerIPs: [10.3.0.1]}\n"
    objects = [balancer(annotations={"sluice.io/pool": "gold"})]
    (text,) = given_to(give(objects, before, with_pools(*POOLS)))["shop/web"].load_balancer_ips
    assert ip_address(text) in ip_network("10.2.0.0/29")


def test_addresses_that_some_equipment_drops() -> None:
    pool = {"name": "a", "addresses": ["10.1.0.254-10.1.2.1"], "avoid_buggy_ips": True}
    found = give([balancer(f"s{n}") for n in range(255)], checks=with_pools(pool))
    last = {text.rpartition(".")[2] for each in given_to(found).values() for text in each.load_balancer_ips}
    assert len(last) > 200
    assert not last & {"0", "255"}


def shared(name: str, port: int, **spec: Any) -> dict[str, Any]:
    annotations = {"sluice.io/allow-shared-ip": "key"}
    return balancer(name, ports=[{"port": port}], annotations=annotations, **spec)


def test_sharing() -> None:
    objects = [shared("a", 80), shared("b", 443), shared("c", 80), balancer("d")]
    built = give(objects, checks=with_pools(PUBLIC))
    by_name = {name: each.load_balancer_ips for name, each in given_to(built).items()}
    assert by_name["shop/a"] == by_name["shop/b"]
    assert len(set(by_name.values())) == 3, "neither with a port twice, nor without the key"
    assert given_to(give(reversed(objects), built.allocated.text, with_pools(PUBLIC))) == given_to(built)
    same = {"externalTrafficPolicy": "Local", "selector": {"app": "web"}}
    local = give([shared("a", 80, **same), shared("b", 443, **same)], checks=with_pools(PUBLIC))
    assert len({each.load_balancer_ips for each in given_to(local).values()}) == 1
    local = give([shared("a", 80), shared("b", 443, externalTrafficPolicy="Local")], checks=with_pools(PUBLIC))
    assert len({each.load_balancer_ips for each in given_to(local).values()}) == 2, "policy Local, other endpoints"


def test_sharing_what_is_declared() -> None:
    declared = shared("a", 80, loadBalancerIP="203.0.113.9")
    built = give([declared, shared("b", 443)], checks=with_pools(PUBLIC))
    assert given_to(built)["shop/b"].load_balancer_ips == ("203.0.113.9",)
    again = give([declared, shared("b", 443)], built.allocated.text, with_pools(PUBLIC))
    assert given_to(again) == given_to(built)


# --- the file on its way


def test_what_the_file_would_need() -> None:
    built = give([bare(f"s{n}") for n in range(7)])
    warning = built.allocated.unwritten("allocations.yml", "cannot be written")
    assert str(warning) == (
        "allocations.yml: warning: cannot be written; 7 Services have their addresses by hash and may move when others"
        " come: shop/s0, shop/s1, shop/s2, shop/s3, shop/s4, …"
    )
    assert not give([service()]).allocated.differs(allocations_file.NOTHING_GIVEN)
    assert not give([service()]).allocated.differs(allocations_file.Allocations("a.yml")), "nothing to keep"
    assert built.allocated.differs(allocations_file.Allocations("a.yml"))


# --- whatever happens

NAMES = [f"s{n}" for n in range(12)]
SPECS = (
    {},
    {"type": "NodePort"},
    {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
    {"type": "LoadBalancer", "annotations": {"sluice.io/allow-shared-ip": "key"}},
    {"ipFamilyPolicy": "PreferDualStack", "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
    {"ip": "declared"},
)
EDITS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, len(SPECS))), min_size=25, max_size=40)
TIGHT = with_pools(
    {"name": "a", "addresses": ["203.0.113.0-203.0.113.40", "fd00::/64"]},
    service_cidrs=("10.0.0.0/26", "fd01::/120"),
    nodeport_range=(30000, 30063),
)


def check_unique(built: Built) -> None:
    """Nothing is given twice, nor what is declared; and all that is wanted is given."""
    assert faults(built) == []
    held: dict[object, str] = {}
    for each in built.catalogue.services:
        shares = ("allow-shared-ip", "key") in each.annotations
        things: list[object] = [*each.cluster_ips, *{(p.port, p.node_port) for p in each.ports if p.node_port}]
        things += [entry.address for entry in each.ingress if not shares]
        numbers = {port.node_port for port in each.ports if port.node_port}
        things += [*numbers, *([each.health_check_node_port] if each.health_check_node_port else [])]
        for thing in (thing for thing in things if not isinstance(thing, tuple)):
            assert held.setdefault(thing, each.name) == each.name
        assert each.cluster_ips
        assert each.type == "ClusterIP" or all(port.node_port for port in each.ports)
        assert each.type != "LoadBalancer" or each.ingress


@seed(20261128)
@settings(max_examples=400)
@given(EDITS)
def test_no_edit_moves_another_s_address(edits: list[tuple[str, int]]) -> None:
    """10,000 edits and more. Without the file, nobody has what is another's either."""
    now: dict[str, dict[str, Any]] = {}
    text = ""
    before: dict[str, Given] = {}
    for name, kind in edits:
        if kind == len(SPECS):
            now.pop(name, None)
        else:
            spec = dict(SPECS[kind])
            if spec.get("ip"):
                spec["ip"] = f"10.0.1.{NAMES.index(name) + 1}"
            now[name] = service(name, **{"ip": "", **spec})
        built = give(now.values(), text, TIGHT)
        check_unique(built)
        found = given_to(built)
        for other in now.keys() - {name}:
            key = f"shop/{other}"
            assert found.get(key) == before.get(key)
        assert given_to(give(now.values(), built.allocated.text, TIGHT)) == found, "the second run changes nothing"
        check_unique(give(now.values(), "", TIGHT))
        text, before = built.allocated.text, found
