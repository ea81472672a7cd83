"""The wire: lists of any size arrive as a whole or not at all, and of what the checker says nothing is trusted."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.health import wire
from sluice.health.check import Check
from sluice.health.reasons import Reason, State
from sluice.health.wire import Heartbeat, Record

CHECKS = [(7, Check("192.0.2.1", 80, '{"tcpSocket":{}}')), (2**32 - 1, Check("::1", 0, '{"icmp":{}}'))]
QUESTION = '{"httpGet":{"path":"/healthz"},"periodSeconds":2}'


def whole(data: bytes) -> bytes:
    """A list in one part."""
    return b"SLH1" + struct.pack("!III", 1, len(data), 0) + data


class Ends(NamedTuple):
    supervisor: wire.Supervisor
    checker: wire.Checker
    raw: socket.socket


@pytest.fixture
def ends() -> Iterator[Ends]:
    accepted, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.setblocking(False)
    with link, accepted:
        yield Ends(wire.Supervisor(accepted), wire.Checker(link), link)


def test_a_list(ends: Ends) -> None:
    assert ends.checker.receive() is None
    ends.supervisor.send(3, "lb1", "192.0.2.9", CHECKS)
    assert ends.checker.receive() == wire.List(3, "lb1", "192.0.2.9", CHECKS)
    ends.supervisor.send(4, "lb1", "", [], untracked=True)
    assert ends.checker.receive() == wire.List(4, "lb1", "", [], range(61440, 61696))


def test_a_large_list_comes_in_parts_and_blocks_nobody(ends: Ends) -> None:
    places = (f"10.{n // 65025}.{n // 255 % 255}.{n % 255}" for n in range(25_000))
    checks = [(number, Check(place, 80, QUESTION)) for number, place in enumerate(places)]
    ends.supervisor.send(1, "lb1", "", checks)
    assert ends.supervisor.wants_write
    found = None
    while found is None:
        found = ends.checker.receive()
        ends.supervisor.flush()
    assert not ends.supervisor.wants_write
    assert found.checks == checks
    assert len({id(check.question) for _number, check in found.checks}) == 1, "kept once"


def test_a_list_is_replaced_before_it_was_sent(ends: Ends) -> None:
    ends.supervisor.send(1, "lb1", "", [(number, Check("192.0.2.1", 80, QUESTION)) for number in range(25_000)])
    ends.supervisor.send(2, "lb1", "", CHECKS)
    found = None
    while found is None:
        ends.supervisor.flush()
        found = ends.checker.receive()
    assert found.generation == 2


@pytest.mark.parametrize(
    "packets",
    [
        [b"x"],
        [b"SLH2" + bytes(12) + b"{}"],
        [b"SLH1" + struct.pack("!III", 1, 2**31, 0) + b"{}"],
        [b"SLH1" + struct.pack("!III", 1, 4, 2) + b"{}"],
        [b"SLH1" + struct.pack("!III", 1, 4, 0) + b"{}", b"SLH1" + struct.pack("!III", 2, 4, 2) + b"{}"],
        [b"SLH1" + struct.pack("!III", 1, 2, 0) + b"{}"],
        [b"SLH1" + struct.pack("!III", 1, 2, 0) + b"[]"],
        [b"SLH1" + struct.pack("!III", 1, 2, 0) + b"\xff\xff"],
        [b"SLH1" + struct.pack("!III", 1, 12, 0) + b'{"checks":5}'],
        [whole(b'{"node":"","source":"","checks":[[1,"shop.example",80,"{}"]]}')],
        [whole(b'{"node":"","source":"","checks":[[1,"192.0.2.1",65536,"{}"]]}')],
        [whole(b'{"node":"","source":"","checks":[[true,"192.0.2.1",80,"{}"]]}')],
        [whole(b'{"node":"","source":"","checks":[[1,"192.0.2.1",80]]}')],
        [whole(b'{"source":"","checks":[]}')],
        [whole(b'{"checks":' + b"[" * 20000 + b"}")],
    ],
    ids=range(15),
)
def test_what_is_no_list(ends: Ends, packets: list[bytes]) -> None:
    for packet in packets:
        ends.supervisor._link.send(packet)
    with pytest.raises(ValueError, match=r"."):
        ends.checker.receive()


def test_records(ends: Ends) -> None:
    ends.supervisor.send(3, "lb1", "", CHECKS)
    records = [Record(7, State.UP, Reason.FINE, 3), Record(2**32 - 1, State.DOWN, Reason.TIMEOUT, 1000)]
    ends.checker.post(3, records)
    ends.checker.beat(Heartbeat(3, 2**40, 5, 2**33, 300))
    assert ends.supervisor.receive() == records
    assert ends.supervisor.heartbeat == Heartbeat(3, 2**40, 5, 2**32 - 1, 255)
    assert (ends.supervisor.dropped, ends.supervisor.stale) == (0, 0)


def test_tens_of_thousands_of_records(ends: Ends) -> None:
    checks = [(number, CHECKS[0][1]) for number in range(25_000)]
    ends.supervisor.send(1, "lb1", "", checks)
    ends.checker.post(1, [Record(number, State.UP, Reason.FINE, 0) for number, _check in checks])
    found: list[Record] = []
    while len(found) < 25_000:
        found += ends.supervisor.receive()
        ends.checker.flush()
    assert [record.id for record in found] == [number for number, _check in checks]


def test_nothing_is_trusted(ends: Ends) -> None:
    ends.supervisor.send(3, "lb1", "", CHECKS)
    ends.checker.post(2, [Record(7, State.DOWN, Reason.TIMEOUT, 0)] * 2)
    assert ends.supervisor.receive() == []
    assert (ends.supervisor.dropped, ends.supervisor.stale) == (0, 2)
    ends.checker.post(3, [Record(8, State.DOWN, Reason.TIMEOUT, 0)])
    good = struct.pack("!BBBxIIIQ", 1, State.UP, Reason.FINE, 3, 7, 5, 0)
    for place, value in ((0, 9), (1, 3), (2, 99), (20, 1)):
        ends.raw.send(good[:place] + bytes([value]) + good[place + 1 :])
    ends.raw.send(good[:-1])
    ends.raw.send(good + b"x")
    assert ends.supervisor.receive() == [Record(7, State.UP, Reason.FINE, 5)]
    assert ends.supervisor.dropped == 7


@given(st.binary(min_size=1, max_size=200), st.integers(0, 2**32 - 1))
def test_any_bytes_are_records_of_the_list_or_none(data: bytes, seed: int) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        supervisor = wire.Supervisor(one)
        supervisor.send(3, "", "", CHECKS)
        other.send(data)
        chance = random.Random(seed)
        other.send(struct.pack("!BBBxIIIQ", 1, *chance.choices(range(4), k=2), 3, chance.choice([6, 7]), 0, 0))
        for record in supervisor.receive():
            assert record.id in (7, 2**32 - 1)
            assert isinstance(record.state, State)
            assert isinstance(record.reason, Reason)


def test_the_other_end_is_gone(ends: Ends) -> None:
    ends.raw.close()
    with pytest.raises(ConnectionError):
        ends.supervisor.receive()
    with pytest.raises(ConnectionError):
        ends.supervisor.send(1, "", "", CHECKS)


def test_the_supervisor_is_gone(ends: Ends) -> None:
    ends.supervisor.close()
    with pytest.raises(ConnectionError):
        ends.checker.receive()
    with pytest.raises(ConnectionError):
        ends.checker.beat(Heartbeat(0, 0, 0, 0))


def test_who_does_not_read_is_not_waited_for(ends: Ends) -> None:
    ends.supervisor.send(1, "", "", CHECKS)
    records = [Record(7, State.UP, Reason.FINE, 0)] * 5000
    while not ends.checker.wants_write:
        ends.checker.post(1, records)
    found = 0
    while ends.checker.wants_write:
        found += len(ends.supervisor.receive())
        ends.checker.flush()
    assert found + len(ends.supervisor.receive()) > 5000
