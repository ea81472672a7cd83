"""From two samples to rates: what is new, what began anew, the order, and what a person and a program are shown."""

from __future__ import annotations

import json

import pytest

from sluice.backends.interface import Count
from sluice.node.rates import FIRST_ONLY, Sample, rates, shortened
from sluice.node.traffic import Counted, ServicePort

WEB, API = ServicePort("shop", "web", "http", "TCP"), ServicePort("shop", "api", "", "UDP")
BEFORE = Sample(10.0, {WEB: Counted(Count(100, 100, 6000), {"10.1.0.1:80": Count(100, 100, 6000)}, whole=False)})
AFTER = Sample(
    12.0,
    {
        API: Counted(Count(2, 20, 1000, 10, 9000), {}, whole=True),
        WEB: Counted(
            Count(108, 108, 6480), {"10.1.0.1:80": Count(102, 102, 6120), "10.1.0.2:80": Count(6, 6, 360)}, whole=False
        ),
    },
)


def test_the_difference_of_two_samples() -> None:
    found = rates(BEFORE, AFTER)
    assert found.seconds == 2.0
    assert [(rate.port, rate.went) for rate in found.rates] == [
        (WEB, Count(8, 8, 480)),
        (API, Count(2, 20, 1000, 10, 9000)),
    ]
    assert found.rates[0].endpoints == [("10.1.0.2:80", Count(6, 6, 360)), ("10.1.0.1:80", Count(2, 2, 120))]


def test_counters_that_began_anew() -> None:
    """As those of a table that was made anew: what they have is what came since."""
    (web,) = rates(AFTER, Sample(13.0, {WEB: Counted(Count(5, 5, 300), {}, whole=False)})).rates
    assert web.went == Count(5, 5, 300)


def test_as_json() -> None:
    found = json.loads(json.dumps(rates(BEFORE, AFTER).fields()))
    assert found["seconds"] == 2.0
    web, api = found["services"]
    ends = web.pop("endpoints")
    assert web == {
        "namespace": "shop",
        "service": "web",
        "port": "http",
        "protocol": "TCP",
        "connections": 8,
        "connections_per_second": 4.0,
        "packets_in": 8,
        "bytes_in": 480,
        "packets_out": None,
        "bytes_out": None,
        "packets_counted": "first",
    }
    assert (ends[0]["endpoint"], ends[0]["connections"], ends[0]["connections_per_second"]) == ("10.1.0.2:80", 6, 3.0)
    assert (api["packets_out"], api["packets_counted"], api["endpoints"]) == (10, "all", [])


def test_as_a_table() -> None:
    assert rates(BEFORE, AFTER).lines() == [
        "SERVICE        PROTOCOL  ENDPOINT     CONN/S  PACKETS/S  BYTES/S",
        "shop/web:http  TCP                       4.0          4      240",
        "                         10.1.0.2:80     3.0          3      180",
        "                         10.1.0.1:80     1.0          1       60",
        "shop/api       UDP                       1.0         15     5.0k",
        FIRST_ONLY,
    ]


def test_no_more_lines_than_there_is_room_for() -> None:
    for most in range(3, 8):
        lines = rates(BEFORE, AFTER).lines(most)
        assert len(lines) == min(most, 6)
        assert ("lines more: " in lines[-1]) is (most < 6)


def test_without_traffic() -> None:
    assert rates(AFTER, AFTER._replace(time=13.0)).lines()[1:] == ["service ports without traffic: 2"]
    assert rates(Sample(0, {}), Sample(1, {})).lines()[1:] == ["service ports without traffic: 0"]


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1234, "1.2k"), (34_500_000, "34.5M"), (5e18, "5000.0P")]
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert shortened(number) == text
