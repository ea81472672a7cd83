"""Which UDP flows a change leaves behind, where IPVS serves and where the backend changes."""

from __future__ import annotations

from sluice.addresses import IPV4
from sluice.backends.interface import Frontend
from sluice.backends.ipvs.layer import LAYER
from sluice.node import flows
from sluice.system.conntrack import Flow

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


def flow(answerer: str) -> Flow:
    return Flow("198.51.100.2", 40000, "10.96.0.2", 53, answerer, 53)


def test_flow_to_a_real_server_that_is_gone() -> None:
    tracked = [flow("10.244.1.1"), flow("10.244.1.2")]
    assert flows.stale(tracked, BEFORE, AFTER, ()) == [flow("10.244.1.1")]


def test_untranslated_flow_of_a_service_that_gains_its_first_endpoint() -> None:
    assert flows.stale([flow("10.96.0.2")], EMPTY, AFTER, ()) == [flow("10.96.0.2")]
    assert flows.stale([flow("10.96.0.2")], BEFORE, AFTER, ()) == []


def test_all_translated_flows_move_with_the_backend() -> None:
    tracked = [flow("10.244.1.1"), flow("10.244.1.2"), Flow("198.51.100.2", 40000, "192.0.2.9", 53, "192.0.2.9", 53)]
    assert flows.stale(tracked, BEFORE, BEFORE, ()) == []
    assert flows.stale(tracked, BEFORE, BEFORE, (), moved=True) == tracked[:2]
