"""Counters of rules: which are those of an address and of an endpoint, in the rules of every layout and dispatch."""

from __future__ import annotations

import pytest
import support

from sluice.addresses import IPV4
from sluice.backends.interface import Count, Entry
from sluice.backends.iptables import text
from sluice.backends.iptables.counters import counters
from sluice.release import RELEASES

WEB = Entry("10.96.0.1", "tcp", 80)
SERVICE = support.service(
    type="LoadBalancer",
    ip="10.96.0.1",
    ports=[{"name": "http", "port": 80, "nodePort": 30080}],
    externalIPs=["198.51.100.7"],
    ingress=["203.0.113.10"],
    sessionAffinity="ClientIP",
)
SLICE = support.endpoint_slice("10.1.0.1", "10.1.0.2", ports=[{"name": "http", "port": 8080}])


def counted(*objects: dict[str, object], **settings: object) -> str:
    """The rules of a catalogue as ``iptables-save -t nat -c`` prints them, where each has counted 3 packets."""
    files = support.rendered(support.catalogue(*objects), support.node(**settings))
    (nat,) = [part for part in files[text.FILES[IPV4]].split("COMMIT\n") if "*nat\n" in part]
    return "".join(f"[3:180] {line}\n" if line.startswith("-A") else f"{line}\n" for line in nat.splitlines())


@pytest.mark.parametrize("compat", RELEASES)
def test_each_address_and_each_endpoint(compat: str) -> None:
    found = counters([counted(SERVICE, SLICE, compat=compat)])
    ways = {WEB, Entry("198.51.100.7", "tcp", 80), Entry("203.0.113.10", "tcp", 80), Entry("", "tcp", 30080)}
    assert set(found.entries) == ways
    # Up to 1.23 an external IP has a rule for what comes from outside, and one for what is to the node itself.
    twice = Entry("198.51.100.7", "tcp", 80) if RELEASES[compat].drop_mark else None
    assert all(count == Count(*(2 * [3] if entry != twice else [6, 6]), 180 * (1 + (entry == twice)))
               for entry, count in found.entries.items())  # fmt: skip
    assert {where for _entry, where in found.endpoints} == {"10.1.0.1:8080", "10.1.0.2:8080"}
    assert {entry for entry, _where in found.endpoints} <= ways
    assert set(found.endpoints.values()) == {Count(3, 3, 180)}, "once each, though several addresses lead there"
    assert not found.whole


def test_through_a_tree_of_addresses() -> None:
    many = [
        each
        for number in range(1, 100)
        for each in (
            support.service(f"s{number}", ip=f"10.96.0.{number}"),
            support.endpoint_slice(f"10.1.0.{number}", of=f"s{number}"),
        )
    ]
    flat, tree = (counters([counted(*many, iptables_dispatch=word)]) for word in ("linear", "prefix"))
    assert flat == tree == counters([support.with_former_names(counted(*many, iptables_dispatch="prefix"))])
    assert len(flat.entries) == len(flat.endpoints) == 99


def test_both_families_and_variants_together() -> None:
    four = counted(SERVICE, SLICE)
    six = '[1:80] -A KUBE-SERVICES -d fd00::1/128 -p udp -m comment --comment "a/b" -m udp --dport 53 -j KUBE-SVC-A\n'
    six += "[1:80] -A KUBE-SVC-A -j KUBE-SEP-A\n[2:99] -A KUBE-SEP-A -p udp -j DNAT --to-destination [fd00::2]:53\n"
    found = counters([four, six, "", four])
    assert found.entries[WEB] == Count(6, 6, 360)
    assert found.endpoints[Entry("fd00::1", "udp", 53), "[fd00::2]:53"] == Count(2, 2, 99)


def test_rules_of_others_and_of_no_service() -> None:
    text = '[9:9] -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES\n'
    text += "[9:9] -A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80\n"
    text += "[9:9] -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n"
    assert counters([text]).entries == {}
    assert counters([text]).endpoints == {}


def listed(saved: str) -> str:
    """What ``iptables -t nat -v -S`` prints of the dispatch."""
    lines = [line.partition("] ")[2] for line in saved.splitlines() if line.startswith("[") and "KUBE-SE" in line]
    assert lines
    return "".join(
        f"{head} -c 3 180 -j {target}\n" for head, _jump, target in (line.rpartition(" -j ") for line in lines)
    )


@pytest.mark.parametrize("dispatch", ["linear", "prefix"])
@pytest.mark.parametrize("compat", RELEASES)
def test_without_endpoints(compat: str, dispatch: str) -> None:
    saved = counted(SERVICE, SLICE, compat=compat, iptables_dispatch=dispatch)
    found = counters([saved], endpoints=False)
    assert found.entries == counters([saved]).entries
    assert found.endpoints == {}


def test_rules_as_they_are_listed() -> None:
    saved = counted(SERVICE, SLICE)
    ways = {entry: count for entry, count in counters([saved]).entries.items() if entry.address}
    assert counters([f"-N KUBE-SERVICES\n{listed(saved)}"], endpoints=False).entries == ways
    rule = '-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "a -c 1 2 b" -m tcp --dport 80 -c 7 420 -j X\n'
    assert counters([rule], endpoints=False).entries == {WEB: Count(7, 7, 420)}
    assert counters(["-N KUBE-NODEPORTS\n-A KUBE-NODEPORTS -c 1 60 -j X\n"], endpoints=False).entries == {}
