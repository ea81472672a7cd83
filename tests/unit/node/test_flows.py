"""Which UDP flows a change leaves behind, where IPVS serves and where the backend changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from places import script

from sluice.addresses import IPV4
from sluice.backends.interface import Frontend
from sluice.backends.ipvs.layer import LAYER
from sluice.node import files, flows
from sluice.system import conntrack, netlink
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
    return Flow("10.96.0.2", 53, answerer, 53)


def test_flow_to_a_real_server_that_is_gone() -> None:
    tracked = [flow("10.244.1.1"), flow("10.244.1.2")]
    assert flows.stale(tracked, BEFORE, AFTER, ()) == [flow("10.244.1.1")]


def test_untranslated_flow_of_a_service_that_gains_its_first_endpoint() -> None:
    assert flows.stale([flow("10.96.0.2")], EMPTY, AFTER, ()) == [flow("10.96.0.2")]
    assert flows.stale([flow("10.96.0.2")], BEFORE, AFTER, ()) == []


def test_all_translated_flows_move_with_the_backend() -> None:
    tracked = [flow("10.244.1.1"), flow("10.244.1.2"), Flow("192.0.2.9", 53, "192.0.2.9", 53)]
    assert flows.stale(tracked, BEFORE, BEFORE, ()) == []
    assert flows.stale(tracked, BEFORE, BEFORE, (), moved=True) == tracked[:2]


def test_flows_of_a_node_port_are_to_its_own_addresses() -> None:
    to_node = Flow("10.0.0.1", 30053, "10.244.1.1", 53)
    before, after = {Frontend("", 30053): {("10.244.1.1", 53)}}, {Frontend("", 30053): {("10.244.1.2", 53)}}
    assert flows.stale([to_node], before, after, ["10.0.0.1"]) == [to_node]
    assert flows.stale([to_node], before, after, ["10.0.0.2"]) == [], "somebody else's"


def test_flow_of_a_front_end_that_is_gone() -> None:
    assert flows.stale([flow("10.244.1.1")], BEFORE, {}, ()) == [flow("10.244.1.1")]
    assert flows.stale([flow("10.244.9.9")], BEFORE, {}, ()) == [], "it never was ours"


IPVS = {"settings.json": json.dumps({"backend": "ipvs", "ip_families": [IPV4], "compat": "1.36"})}
IPVS |= {"iptables.rules": "", "ipset.conf": "", "addresses": ""}


def test_flows_are_deleted_once(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of what was before, and of a change before that was cut off; the kernel's part is in tests/kernel."""
    script(programs / "ip", "echo 'lo UP 127.0.0.1/8'")
    tracked = [flow("10.244.1.1")._replace(words=bytes([number])) for number in range(3)]
    deleted: list[list[Flow]] = []
    monkeypatch.setattr(conntrack, "udp_flows", lambda family: tracked)
    monkeypatch.setattr(conntrack, "delete", lambda given, family: deleted.append(list(given)) or len(given))
    before = {**IPVS, "ipvs.conf": TWO}
    after = {**IPVS, "ipvs.conf": TWO.replace("-a -u 10.96.0.2:53 -r 10.244.1.1:53 -m -w 1\n", "")}
    warnings: list[str] = []
    assert flows.forget([before, before], files.parse(after), warnings) == 3
    assert flows.forget([before], files.parse(before), warnings) == 0
    assert flows.forget([{}], files.parse(after), warnings) == 0
    assert deleted == [tracked, [], []]
    assert not warnings


def test_a_kernel_that_cannot_be_asked_is_a_warning(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_protocol: int) -> None:
        raise OSError(1, "Operation not permitted")

    script(programs / "ip", "echo 'lo UP 127.0.0.1/8'")
    monkeypatch.setattr(netlink, "connected", refused)
    warnings: list[str] = []
    assert flows.forget([{}], files.parse({**IPVS, "ipvs.conf": TWO}), warnings) == 0
    assert warnings == [
        "conntrack cannot be asked (Operation not permitted): UDP flows to endpoints that are gone cannot be deleted"
    ]
