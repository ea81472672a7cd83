"""What a Service becomes in a table: addresses, lists, slots, and what refuses or drops."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from support import catalogue, endpoint, endpoint_slice, node, service

from sluice import view
from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import Memo
from sluice.backends.nftables import layout, rules
from sluice.backends.nftables.skeleton import Way
from sluice.faults import InputError

FIRST, SECOND, THIRD = "10.1.0.11", "10.1.0.12", "10.1.0.13"


class Lines(NamedTuple):
    """The lines of elements, without what the text of a table has around each, and the ways."""

    elements: dict[str, list[str]]
    ways: list[Way]


def contents(*objects: dict[str, Any], family: str = IPV4, **variables: Any) -> Lines:
    own = node(**variables)
    found = rules.contents(view.view(catalogue(*objects), own, family), own, Memo())
    lines = {name: [line.strip("\t,") for line in text.splitlines()] for name, text in found.elements.items()}
    assert found.counts == {name: len(each) for name, each in lines.items()}
    return Lines(lines, found.ways)


def filled(found: Lines) -> dict[str, list[str]]:
    return {name: lines for name, lines in found.elements.items() if lines}


def test_a_service() -> None:
    found = contents(service(), endpoint_slice(FIRST, SECOND))
    (line,) = found.elements["lists"]
    the_list = line.split()[0]
    register = layout.of_class_id(the_list)
    assert filled(found) == {
        "addresses": [
            f'10.96.0.1 . tcp . 80 comment "shop/web" : {layout.class_id(register | layout.INSIDE)}',
        ],
        "lists": [f'{the_list} comment "shop/web" : {layout.class_id(register | 2)}'],
        "ways": ["0:2 : goto random-2"],
        "slots-tcp": [f"{the_list} . 0 : {FIRST} . 8080", f"{the_list} . 1 : {SECOND} . 8080"],
        "hairpin": [f"{FIRST} . {FIRST}", f"{SECOND} . {SECOND}"],
    }
    assert found.ways == [Way("random", 2)]


@pytest.mark.parametrize(
    ("spec", "kinds"),
    [
        ({}, {"10.96.0.1": layout.INSIDE}),
        ({"externalIPs": ["198.51.100.1"]}, {"10.96.0.1": layout.INSIDE, "198.51.100.1": layout.OUTSIDE}),
        ({"internalTrafficPolicy": "Local"}, {"10.96.0.1": layout.INSIDE_LOCAL}),
        (
            {"type": "LoadBalancer", "ingress": ["203.0.113.1"], "externalTrafficPolicy": "Local"},
            {"10.96.0.1": layout.INSIDE, "203.0.113.1": layout.OUTSIDE_LOCAL},
        ),
        (
            {"type": "LoadBalancer", "ingress": ["203.0.113.1"], "loadBalancerSourceRanges": ["192.0.2.0/24"]},
            {"10.96.0.1": layout.INSIDE, "203.0.113.1": layout.FENCED_OUTSIDE},
        ),
    ],
)
def test_kinds_of_addresses(spec: dict[str, Any], kinds: dict[str, int]) -> None:
    found = contents(service(**spec), endpoint_slice(endpoint(FIRST, node="node1")))
    lines = [line.split() for line in found.elements["addresses"]]
    assert {line[0]: layout.of_class_id(line[-1]) & layout.LOW_BITS for line in lines} == kinds


@pytest.mark.parametrize(
    ("slices", "where"),
    [
        ([], {"refuse-inside", "refuse-outside", "refuse-node-ports"}),
        ([endpoint_slice(FIRST)], {"drop-outside", "drop-node-ports"}),
        ([endpoint_slice(endpoint(FIRST, node="node1"))], set()),
    ],
)
def test_what_nothing_answers(slices: list[dict[str, Any]], where: set[str]) -> None:
    """Refused where no node has an endpoint; dropped where policy Local keeps what there is for other nodes."""
    spec = {"type": "NodePort", "externalIPs": ["198.51.100.1"], "externalTrafficPolicy": "Local"}
    found = filled(contents(service(ports=[{"port": 80, "nodePort": 30080, "targetPort": 8080}], **spec), *slices))
    assert {name for name in found if name.startswith(("refuse", "drop"))} == where


def test_an_internal_service_without_endpoints_here_is_dropped() -> None:
    """Another node answers; nothing leads to a list, and there is none."""
    found = filled(contents(service(internalTrafficPolicy="Local"), endpoint_slice(FIRST)))
    assert found == {"drop-inside": ['10.96.0.1 . tcp . 80 comment "shop/web"']}


def test_source_ranges_are_made_disjoint() -> None:
    """Where the node may enter, so may the VIP, which is what it sends from. Overlaps would not load."""
    spec = {"type": "LoadBalancer", "ingress": ["203.0.113.1"]}
    ranges = ["10.0.0.0/8", "10.1.0.0/16", "198.51.100.7/32"]
    found = contents(service(loadBalancerSourceRanges=ranges, **spec), endpoint_slice(FIRST)).elements
    assert [line.split(" . ")[1] for line in found["ranges"]] == ["10.0.0.0/8", "198.51.100.7", "203.0.113.1"]
    assert found["fenced"] == ['203.0.113.1 . tcp . 80 comment "shop/web"']


def test_weights_are_slots() -> None:
    annotations = {"sluice.io/weight": f"{FIRST}=6, {SECOND}=3, {THIRD}=0"}
    found = contents(service(annotations=annotations), endpoint_slice(FIRST, SECOND, THIRD))
    assert [line.split()[4] for line in found.elements["slots-tcp"]] == [FIRST, FIRST, SECOND]
    nobody = contents(service(annotations={"sluice.io/weight": "0"}), endpoint_slice(FIRST))
    assert set(filled(nobody)) == {"refuse-inside"}


def test_weights_with_a_large_sum_are_rounded() -> None:
    annotations = {"sluice.io/weight": f"{FIRST}=65535, {SECOND}=65534, {THIRD}=1"}
    found = contents(service(annotations=annotations), endpoint_slice(FIRST, SECOND, THIRD)).elements["slots-tcp"]
    assert len(found) <= rules.MAX_SLOTS
    assert sum(THIRD in line for line in found) == 1


@pytest.mark.parametrize("flags", ["", "mh-port"])
def test_consistent_hashing(flags: str) -> None:
    """The table is that of the catalogue's endpoints: one that is not ready has no slots, and moves nobody else."""
    annotations = {"sluice.io/scheduler": "mh", "sluice.io/scheduler-flags": flags}
    several = [FIRST, SECOND, THIRD]
    whole = contents(service(annotations=annotations), endpoint_slice(*several))
    less = contents(service(annotations=annotations), endpoint_slice(FIRST, SECOND, endpoint(THIRD, ready=False)))
    assert whole.ways == less.ways == [Way("source-port" if flags else "source", 16381)]
    before, after = whole.elements["slots-tcp"], less.elements["slots-tcp"]
    assert len(before) == len(after) == 16381
    assert all(THIRD in old for old, new in zip(before, after) if old != new)
    assert not any(THIRD in line for line in after)


def test_session_affinity_is_to_the_endpoint() -> None:
    """One that drains keeps the clients that it has and gets no new ones."""
    sticky = service(sessionAffinity="ClientIP", externalIPs=["198.51.100.1"], externalTrafficPolicy="Local")
    drains = endpoint(SECOND, ready=False, serving=True, terminating=True)
    found = contents(sticky, endpoint_slice(endpoint(FIRST, node="node1"), drains, THIRD))
    ids = {line.split(" : ")[1]: line.split()[0] for line in found.elements["sticky"]}
    assert set(ids) == {f"{FIRST} . 8080", f"{SECOND} . 8080", f"{THIRD} . 8080"}
    assert {line.split()[0] for line in found.elements["sticky-local"]} == {ids[f"{FIRST} . 8080"]}
    assert {line.split(" : ")[1] for line in found.elements["sticky-slots"]} == {
        ids[f"{FIRST} . 8080"],
        ids[f"{THIRD} . 8080"],
    }
    assert found.ways == [Way("random", 1, 10800, local=True), Way("random", 2, 10800)]
    assert not found.elements["slots-tcp"]


def test_long_names_stay_different() -> None:
    names = [f"{'n' * 60}/{'s' * 60}:{'p' * 50}{end}" for end in "ab"]
    short = [rules.comment(name) for name in names]
    assert [len(each) for each in short] == [127, 127]
    assert short[0] != short[1]
    assert rules.comment("shop/web") == "shop/web"


def test_node_ports_of_some_addresses() -> None:
    spec = service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    found = contents(spec, endpoint_slice(FIRST), nodeport_addresses=["10.0.0.0/8", "127.0.0.0/8"])
    assert found.elements["node-addresses"] == ["10.0.0.10", "127.0.0.1"]
    assert not contents(spec, endpoint_slice(FIRST)).elements["node-addresses"]


def test_families_are_apart() -> None:
    both = service(ip=["10.96.0.1", "fd00:96::1"])
    six = endpoint_slice("fd00:1::11", family=IPV6)
    found = contents(both, endpoint_slice(FIRST), six, family=IPV6, ip_families=[IPV4, IPV6])
    assert [line.split()[0] for line in found.elements["addresses"]] == ["fd00:96::1"]
    assert found.elements["hairpin"] == ["fd00:1::11 . fd00:1::11"]


def test_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "SERVICES", (1, 1))
    with pytest.raises(InputError, match="Services: has more than 1: nftables has no room for them"):
        contents(service(), endpoint_slice(FIRST), service("api", ip="10.96.0.2"), endpoint_slice(FIRST, of="api"))
