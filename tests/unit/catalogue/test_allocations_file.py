"""allocations.yml: what it looks like, and what is said where it is not as it was written."""

from __future__ import annotations

import ipaddress
from operator import itemgetter

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluice.addresses import family_of
from sluice.catalogue import allocations_file
from sluice.catalogue.allocations_file import NOTHING_GIVEN, Given
from sluice.faults import InputError

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
PORTS = st.integers(2, 65535)
ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda n: str(ipaddress.IPv4Address(n))),
    st.integers(2**64, 2**128 - 1).map(lambda n: str(ipaddress.IPv6Address(n))),
    st.sampled_from(["fd00::", "2001:10:9:8:7:6:5:4", "1:2:3:4:5:6:7:8"]),
)
SEVERAL = st.lists(ADDRESSES, max_size=2, unique_by=family_of).map(tuple)
GIVEN = st.builds(
    Given,
    SEVERAL,
    st.lists(st.tuples(PORTS, PORTS), max_size=3, unique_by=(itemgetter(0), itemgetter(1))).map(sorted).map(tuple),
    st.sampled_from([0, 1]),
    SEVERAL,
)
ALL = st.dictionaries(st.tuples(LABELS, LABELS).map("/".join), GIVEN, max_size=8)


def test_one_line_a_service_sorted() -> None:
    text = allocations_file.text(
        {
            "shop/web": Given(("10.96.1.2", "fd00::"), ((80, 30080), (443, 30443)), 31000, ("203.0.113.1",)),
            "shop/api": Given(cluster_ips=("10.96.1.3",)),
            "shop/none": Given(),
        }
    )
    assert text == (
        f"{allocations_file.HEAD}shop/api: {{clusterIPs: [10.96.1.3]}}\n"
        "shop/web: {clusterIPs: [10.96.1.2, 'fd00::'], nodePorts: {80: 30080, 443: 30443}, healthCheckNodePort: 31000,"
        " loadBalancerIPs: [203.0.113.1]}\n"
    )


@given(ALL)
def test_it_is_read_as_it_was_written(found: dict[str, Given]) -> None:
    text = allocations_file.text(found)
    read = allocations_file.read(text, "a.yml")
    assert read.given == {name: each for name, each in found.items() if each != Given()}
    assert allocations_file.text(read.given) == text
    assert (yaml.safe_load(text) or {}).keys() == read.given.keys()
    for number, name in enumerate(sorted(read.given), 3):
        assert read.line(name) == number


def test_nothing() -> None:
    for text in ("", "# nothing\n", "---\n"):
        assert allocations_file.read(text, "a.yml").given == {}
    assert NOTHING_GIVEN.given == {}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a/b: {clusterIPs: [banana]}", ["a.yml:1: Service a/b: clusterIPs: must be a list of IP addresses"]),
        ("a/b: {clusterIPs: 10.0.0.1}", ["a.yml:1: Service a/b: clusterIPs: must be a list of IP addresses"]),
        ("a/b: {loadBalancerIPs: [1]}", ["a.yml:1: Service a/b: loadBalancerIPs: must be a list of IP addresses"]),
        ("a/b: {nodePorts: {80: 0}}", ["a.yml:1: Service a/b: nodePorts: must map ports to node ports"]),
        ("a/b: {nodePorts: {http: 30080}}", ["a.yml:1: Service a/b: nodePorts: must map ports to node ports"]),
        ("a/b: {nodePorts: [30080]}", ["a.yml:1: Service a/b: nodePorts: must map ports to node ports"]),
        ("a/b: {healthCheckNodePort: true}", ["a.yml:1: Service a/b: healthCheckNodePort: must be a port, is true"]),
        ("a/b: {nodePorts: {80: 30080, 81: 30080}}", ["a.yml:1: Service a/b: nodePorts: has a node port twice"]),
        (
            "a/b: {healthCheckNodePort: 30080, nodePorts: {80: 30080}}",
            ["a.yml:1: Service a/b: nodePorts: has a node port twice"],
        ),
        (
            "a/b: {clusterIPs: [10.0.0.1, 10.0.0.2]}",
            ["a.yml:1: Service a/b: clusterIPs: has more than one address of a family"],
        ),
        ("a/b: {clusterIP: 10.0.0.1}", ["a.yml:1: Service a/b: clusterIP: nothing of that name is given"]),
        ("a/b: [10.0.0.1]", ["a.yml:1: Service a/b: must be a mapping, is a list"]),
        (
            "web: {}\nA/b: {}",
            [f"a.yml:{n}: Service {s}: is not namespace/name of a Service" for n, s in ((1, "web"), (2, "A/b"))],
        ),
        ("- a", ["a.yml:1: must be one mapping of Services"]),
        ("a/b: {}\na/b: {}", ["a.yml:2: YAML syntax: the key 'a/b' is there twice"]),
        ("a/b: {}\n<<<<<<< ours\n", ["a.yml:2: a merge was not finished: resolve it, line by line"]),
        ("a/b: {", ["a.yml:2: YAML syntax: did not find expected node content"]),
    ],
)
def test_what_is_wrong_is_said(text: str, faults: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        allocations_file.read(text + "\n", "a.yml")
    assert list(map(str, caught.value.faults)) == faults


@given(
    st.one_of(
        st.text(),
        st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
            yaml.safe_dump
        ),
    )
)
def test_whatever_stands_in_it_is_read_or_refused(text: str) -> None:
    try:
        found = allocations_file.read(text, "a.yml")
    except InputError as error:
        assert error.faults
    else:
        assert isinstance(found.given, dict)
