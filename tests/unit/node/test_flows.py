"""Which UDP flows a change leaves behind, where IPVS serves and where the backend changes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from places import as_nobody

from sluice.addresses import IPV4
from sluice.backends.interface import Frontend
from sluice.backends.ipvs.layer import LAYER
from sluice.node import files, flows
from sluice.system.conntrack import Way

TWO = """\
-A -u 10.96.0.2:53 -s rr
-a -u 10.96.0.2:53 -r 10.244.1.1:53 -m -w 1
-a -u 10.96.0.2:53 -r 10.244.1.2:53 -m -w 1
-A -t 10.96.0.2:53 -s rr
-a -t 10.96.0.2:53 -r 10.244.1.3:53 -m -w 1
-A -u [fd00::2]:53 -s rr
-a -u [fd00::2]:53 -r [fd00::11]:53 -m -w 1
"""
BEFORE = LAYER.frontends({"ipvs.conf": TWO}, IPV4)
AFTER = {**BEFORE, Frontend("10.96.0.2", 53): {("10.244.1.2", 53)}}
EMPTY = {**BEFORE, Frontend("10.96.0.2", 53): set()}


def way(answerer: str, destination: str = "10.96.0.2", port: int = 53) -> Way:
    return Way(destination, port, answerer, 53)


def test_flow_to_a_real_server_that_is_gone() -> None:
    tracked = [way("10.244.1.1"), way("10.244.1.2")]
    assert flows.stale(tracked, BEFORE, AFTER, ()) == [way("10.244.1.1")]


def test_untranslated_flow_of_a_service_that_gains_its_first_endpoint() -> None:
    assert flows.stale([way("10.96.0.2")], EMPTY, AFTER, ()) == [way("10.96.0.2")]
    assert flows.stale([way("10.96.0.2")], BEFORE, AFTER, ()) == []


def test_all_translated_flows_move_with_the_backend() -> None:
    tracked = [way("10.244.1.1"), way("10.244.1.2"), way("192.0.2.9", "192.0.2.9")]
    assert flows.stale(tracked, BEFORE, BEFORE, ()) == []
    assert flows.stale(tracked, BEFORE, BEFORE, (), moved=True) == tracked[:2]


def test_flows_of_a_node_port_are_to_its_own_addresses() -> None:
    to_node = way("10.244.1.1", "10.0.0.1", 30053)
    before, after = {Frontend("", 30053): {("10.244.1.1", 53)}}, {Frontend("", 30053): {("10.244.1.2", 53)}}
    assert flows.stale([to_node], before, after, ["10.0.0.1"]) == [to_node]
    assert flows.stale([to_node], before, after, ["10.0.0.2"]) == [], "somebody else's"


def test_flow_of_a_front_end_that_is_gone() -> None:
    assert flows.stale([way("10.244.1.1")], BEFORE, {}, ()) == [way("10.244.1.1")]
    assert flows.stale([way("10.244.9.9")], BEFORE, {}, ()) == [], "it never was ours"


def test_an_endpoint_that_stays_behind_another_front_end() -> None:
    """The Service has another address now: what is sent to the former one has nobody who translates it."""
    moved = {Frontend("10.96.0.3", 53): BEFORE[Frontend("10.96.0.2", 53)]}
    assert flows.stale([way("10.244.1.1")], BEFORE, moved, ()) == [way("10.244.1.1")]
    assert flows.stale([way("10.244.1.1", port=54)], BEFORE, moved, ()) == [], "to another port"


def test_a_node_port_and_an_address_of_the_same_number() -> None:
    """An external address that is the node's own: the flow may be of either front end."""
    both = {Frontend("", 53): {("10.244.1.1", 53)}, Frontend("10.0.0.1", 53): {("10.244.1.2", 53)}}
    tracked = [way("10.244.1.1", "10.0.0.1"), way("10.244.1.2", "10.0.0.1")]
    assert flows.stale(tracked, both, both, ["10.0.0.1"]) == []
    assert flows.stale(tracked, both, {Frontend("", 53): both[Frontend("", 53)]}, ["10.0.0.1"]) == tracked[1:]
    assert flows.stale([way("10.0.0.1", "10.0.0.1")], {}, both, ["10.0.0.1"]) == [
        way("10.0.0.1", "10.0.0.1")._replace(reply_port=53)
    ]


class Counted(set[tuple[str, int]]):
    """Endpoints that know how many of them were gone through."""

    passed = 0

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for each in super().__iter__():
            Counted.passed += 1
            yield each


def test_endpoints_are_looked_up_however_many_there_are() -> None:
    everyone = Counted((f"10.244.{number // 250}.{number % 250}", 53) for number in range(5000))
    tracked = [way(address) for address, _port in sorted(everyone)]
    Counted.passed = 0
    left = flows.stale(tracked, {Frontend("10.96.0.2", 53): everyone}, {Frontend("10.96.0.2", 53): set()}, ())
    assert (left, Counted.passed) == (tracked, 0)


IPVS = {"settings.json": json.dumps({"backend": "ipvs", "ip_families": [IPV4], "compat": "1.36"})}
IPVS |= {"iptables.rules": "", "ipset.conf": "", "addresses": "", "ipvs.conf": TWO}


def test_a_node_that_does_not_let_us_is_told() -> None:
    def forget() -> str:
        warnings: list[str] = []
        count = flows.forget([{}], files.parse(IPVS), warnings)
        return f"{count} {warnings}"

    said = as_nobody(forget)
    assert said == "0 ['conntrack: Operation not permitted: UDP flows to endpoints that are gone cannot be deleted']"
