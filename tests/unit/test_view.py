"""Which endpoints serve on a node, and what a release knows of a Service."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iptables_rules import BOTH, HERE, LB, LOCAL, OLD, THERE, balanced, chains_of_services, web
from support import catalogue, endpoint, endpoint_slice, node, rules, service

from sluice.addresses import IPV4, IPV6
from sluice.faults import InputError
from sluice.view import View, check_form, view


def test_range_of_all_addresses_is_no_restriction_in_1_36() -> None:
    """kubernetes#132722; one of the other family says nothing about this one."""
    plain = web(LB, BOTH)
    assert web({**LB, "loadBalancerSourceRanges": ["203.0.113.0/24", "0.0.0.0/0"]}, BOTH) == plain
    assert "KUBE-FW" in web({**LB, "loadBalancerSourceRanges": ["203.0.113.0/24", "::/0"]}, BOTH)["nat"]


def test_ranges_of_another_family_are_none() -> None:
    found = web({**LB, "loadBalancerSourceRanges": ["fd00::/8"]}, BOTH)
    assert "KUBE-FW" not in found["nat"]


DYING = {"ready": False, "serving": True, "terminating": True}
DEAD = {"ready": False, "serving": False, "terminating": True}


def test_all_terminating_serve_until_they_are_gone() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", **DYING), endpoint(THERE, "node2", **DEAD))
    assert balanced(web({}, slices)) == [f"{HERE}:8080"]
    assert not chains_of_services(web({}, slices, **OLD))


def test_a_ready_endpoint_anywhere_ends_the_fallback() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", **DYING), endpoint(THERE, "node2"))
    assert balanced(web({}, slices)) == [f"{THERE}:8080"]


def test_policy_local_falls_back_on_its_own() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", **DYING), endpoint(THERE, "node2"))
    found = web({**LB, **LOCAL}, slices)
    assert balanced(found, "KUBE-SVC") == [f"{THERE}:8080"]
    assert balanced(found, "KUBE-SVL") == [f"{HERE}:8080"]
    assert {f"KUBE-SEP-{HERE}:8080", f"KUBE-SEP-{THERE}:8080"} <= chains_of_services(found)


def test_not_ready_and_not_terminating_is_never_used() -> None:
    assert not chains_of_services(web({}, endpoint_slice(endpoint(HERE, "node1", ready=False, serving=True))))


ZONE = {"labels": {"topology.kubernetes.io/zone": "a"}}
HINTS = {
    "all hinted to zones": ([{"zones": ["a"]}, {"zones": ["b"]}], [HERE]),
    "one without a hint": ([{"zones": ["a"]}, {}], [HERE, THERE]),
    "no hint for our zone": ([{"zones": ["b"]}, {"zones": ["c"]}], [HERE, THERE]),
    "same node": ([{"nodes": ["node2"]}, {"nodes": ["node1"]}], [THERE]),
    "same node before zone": (
        [{"zones": ["a"], "nodes": ["node2"]}, {"zones": ["b"], "nodes": ["node1"]}],
        [THERE],
    ),
    "node hints incomplete, zones complete": ([{"zones": ["a"]}, {"zones": ["b"], "nodes": ["node1"]}], [HERE]),
    "no node hint for us, zone hint": (
        [{"zones": ["a"], "nodes": ["node7"]}, {"zones": ["b"], "nodes": ["node8"]}],
        [HERE],
    ),
    "unready ones need no hints": ([{"zones": ["a"]}, {"ready": False}], [HERE]),
    "terminating ones are not narrowed": (
        [{"zones": ["a"], **DYING}, {"zones": ["b"], **DYING}],
        [HERE, THERE],
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_hints(name: str) -> None:
    conditions, used = HINTS[name]
    slices = endpoint_slice(endpoint(HERE, "node1", **conditions[0]), endpoint(THERE, "node2", **conditions[1]))
    assert balanced(web({}, slices, **ZONE)) == [f"{address}:8080" for address in used]


def test_hints_do_not_narrow_policy_local() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", zones=["b"]), endpoint(THERE, "node2", zones=["a"]))
    found = web({**LB, **LOCAL}, slices, **ZONE)
    assert (balanced(found, "KUBE-SVC"), balanced(found, "KUBE-SVL")) == ([f"{THERE}:8080"], [f"{HERE}:8080"])


def test_hints_are_not_known_until_1_23() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", zones=["a"]), endpoint(THERE, "node2", zones=["b"]))
    assert len(balanced(web({}, slices, **ZONE, **OLD))) == 2


def test_endpoint_in_two_slices_counts_once() -> None:
    slices = [endpoint_slice(HERE, THERE, name="one"), endpoint_slice(endpoint(HERE, "node1"), name="two")]
    assert balanced(web({}, *slices)) == [f"{HERE}:8080", f"{THERE}:8080"]
    assert balanced(web({**LB, **LOCAL}, *slices), "KUBE-SVL") == [f"{HERE}:8080"], "the local one of the two counts"


def test_trailing_colon_until_1_18() -> None:
    named = service("also", ip="10.96.0.2", ports=[{"name": "b", "port": 81}])
    found = rules(service(), named, compat="1.18")["filter"]["KUBE-SERVICES"]
    assert ['"shop/also:b has no' in found[0], '"shop/web: has no' in found[1]] == [True, True]


def seen(*objects: dict[str, Any], family: str = IPV4, **variables: Any) -> View:
    return view(catalogue(*objects), node(**variables), family)


def test_services_of_another_family_are_not_in_it() -> None:
    dual = service(ip=["10.96.0.1", "fd00:96::1"])
    assert [port.cluster_ip for port in seen(dual, family=IPV6).ports] == ["fd00:96::1"]
    assert seen(service(), family=IPV6).ports == ()


def test_targets_are_sorted_as_text() -> None:
    """kube-proxy's order: 10.244.0.10 comes before 10.244.0.9."""
    (port,) = seen(service(), endpoint_slice("10.244.0.9", "10.244.0.10")).ports
    assert [target.text for target in port.cluster] == ["10.244.0.10:8080", "10.244.0.9:8080"]
    assert port.targets == list(port.cluster)


def test_targets_are_only_what_a_policy_uses() -> None:
    (plain,) = seen(service(), BOTH).ports
    assert (len(plain.cluster), plain.local, plain.has_endpoints, plain.external) == (2, (), True, False)
    (inside,) = seen(service(internalTrafficPolicy="Local"), BOTH).ports
    assert (inside.cluster, [target.address for target in inside.local]) == ((), [HERE])
    (both,) = seen(service(**LB, internalTrafficPolicy="Local"), BOTH).ports
    assert (len(both.cluster), len(both.local), both.external) == (2, 1, True)
    assert [target.address for target in both.targets] == [HERE, THERE], "each once"


@pytest.mark.parametrize(("compat", "count"), [("1.20", 1), ("1.36", 2)])
def test_endpoints_that_count_for_a_large_cluster(compat: str, count: int) -> None:
    found = seen(service(), endpoint_slice(HERE, endpoint(THERE, ready=False)), compat=compat)
    assert found.endpoint_count == len(found.ports[0].endpoints) == count


@pytest.mark.parametrize(("compat", "captured"), [("1.20", ("192.0.2.1",)), ("1.36", ())])
def test_an_ingress_of_mode_proxy_is_not_for_the_node(compat: str, captured: tuple[str, ...]) -> None:
    proxied = service(**LB)
    proxied["status"]["loadBalancer"]["ingress"][0]["ipMode"] = "Proxy"
    assert seen(proxied, compat=compat).ports[0].load_balancer_ips == captured


# --- the form of what goes into rules


def test_a_view_of_a_sound_catalogue_is_of_its_form() -> None:
    found = catalogue(service(ip=["10.96.0.1", "fd00::1"]), endpoint_slice("10.244.1.1"))
    for family in (IPV4, IPV6):
        check_form(view(found, node(), family))


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("display_name", "shop/web\n"),
        ("protocol", "tcp -j ACCEPT"),
        ("cluster_ip", "fd00::1"),
        ("port", True),
        ("node_port", 65536),
        ("external_ips", ("10.0.0.1/8",)),
        ("source_ranges", ("0.0.0.0",)),
        ("affinity_seconds", "60"),
        ("external_local", 1),
        ("health_check_node_port", -1),
    ],
)
def test_a_port_that_is_not(field: str, bad: object) -> None:
    seen = view(catalogue(service(), endpoint_slice("10.244.1.1")), node(), IPV4)
    spoilt = seen._replace(ports=(seen.ports[0]._replace(**{field: bad}),))
    with pytest.raises(InputError, match=rf"PortView\.{field}: is not of the form that a rule takes"):
        check_form(spoilt)


@pytest.mark.parametrize("place", ["endpoints", "cluster", "local"])
@pytest.mark.parametrize(
    ("field", "bad"), [("text", "10.0.0.1:80 -j"), ("address", "10.0.0.1 "), ("port", 0), ("endpoint", None)]
)
def test_a_target_that_is_not(place: str, field: str, bad: object) -> None:
    seen = view(catalogue(service(), endpoint_slice("10.244.1.1")), node(), IPV4)
    (port,) = seen.ports
    endpoint = port.endpoints[0].endpoint._replace(weight="1 -g")
    target = port.endpoints[0]._replace(**{field: bad if field != "endpoint" else endpoint})
    with pytest.raises(InputError, match=rf"Target\.{field}: is not of the form"):
        check_form(seen._replace(ports=(port._replace(**{place: (target,)}),)))


def test_a_family_that_nobody_knows() -> None:
    with pytest.raises(InputError):
        check_form(View("IPv5", (), (), 0))


# --- one ip:port twice: an address that has a new owner already

LEAVING = endpoint("192.0.2.21", "node1", ready=False, serving=False, terminating=True)
HANGING = endpoint("192.0.2.21", "node1", ready=False, serving=True, terminating=True)
STARTING = endpoint("192.0.2.21", "node2", ready=False, serving=False)
READY = endpoint("192.0.2.21", "node2", ready=True)


@pytest.mark.parametrize("compat", ["1.18", "1.20", "1.36"])
@pytest.mark.parametrize("own", ["node1", "node2", "node3"])
@pytest.mark.parametrize("other", [LEAVING, HANGING, STARTING], ids=["leaving", "hanging", "starting"])
def test_a_ready_entry_counts_wherever_it_stands(other: dict[str, Any], own: str, compat: str) -> None:
    """On every node, in either order, in one slice or two."""
    for pair in ([other, READY], [READY, other]):
        for slices in ([endpoint_slice(*pair)], [endpoint_slice(each, name=f"s{n}") for n, each in enumerate(pair)]):
            (port,) = seen(service(), *slices, node_name=own, compat=compat).ports
            (target,) = port.cluster
            assert target.endpoint.ready
            assert target.endpoint.node == "node2"


def test_what_stays_comes_before_what_leaves() -> None:
    """An entry that only starts says already where the address is; one that leaves is not fallen back on (1.36)."""
    for pair in ([HANGING, STARTING], [STARTING, HANGING]):
        (port,) = seen(service(), endpoint_slice(*pair)).ports
        assert port.cluster == ()
        assert [target.endpoint.node for target in port.endpoints] == ["node2"]


ENDPOINTS = st.builds(
    endpoint,
    st.just("192.0.2.21"),
    st.sampled_from(["node1", "node2", "node3"]),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    zones=st.lists(st.sampled_from("ab"), max_size=1),
)


@given(st.lists(ENDPOINTS, min_size=1, max_size=4), st.randoms(), st.sampled_from(["1.18", "1.20", "1.36"]))
def test_the_order_of_entries_does_not_matter(entries: list[dict[str, Any]], random: Random, compat: str) -> None:
    other = random.sample(entries, len(entries))
    for own in ("node1", "node2"):
        first, second = (
            seen(service(), endpoint_slice(*several), node_name=own, compat=compat) for several in (entries, other)
        )
        assert first == second


def test_a_node_s_name_is_of_small_letters() -> None:
    """As kube-proxy names its node; an inventory's host may be LB_1."""
    ends = [endpoint("192.0.2.21", "LB_1"), endpoint("192.0.2.22", "other")]
    (port,) = seen(service(internalTrafficPolicy="Local"), endpoint_slice(*ends), node_name="lb_1").ports
    assert [target.address for target in port.local] == ["192.0.2.21"]
    assert node(node_name="LB_1").node_name == "lb_1"


def test_an_endpoint_that_is_every_node_s_own() -> None:
    """Of the inventory, and on no load balancer: policy Local means that the client's address is kept."""
    hosts = [{"name": "web1", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.1"}]
    objects = [service(selector={"app": "web"}, type="LoadBalancer", ingress=["192.0.2.1"], **LOCAL)]
    for name in ("node1", "node2"):
        (port,) = view(catalogue(*objects, hosts=hosts), node(node_name=name), IPV4).ports
        assert [target.address for target in port.local] == ["10.0.0.1"]


@pytest.mark.parametrize(("setting", "local"), [("remote", []), ("local", [THERE])])
def test_an_endpoint_that_names_no_node(setting: str, local: list[str]) -> None:
    """As kube-proxy has it, it is nobody's own; a setting makes it everybody's."""
    slices = endpoint_slice(endpoint(THERE, ""))
    (port,) = seen(service(internalTrafficPolicy="Local"), slices, endpoints_without_node=setting).ports
    assert [target.address for target in port.local] == local
