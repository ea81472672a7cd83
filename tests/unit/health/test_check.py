"""How many checks a second there are, and what there is too much of."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.health.check import Check, probe_of, too_much
from sluice.probes import probe


def checks(count: int, **said: Any) -> list[Check]:
    return [Check(f"192.0.2.{number}", 80, probe(said).question) for number in range(count)]


def test_a_check_is_its_own_key() -> None:
    assert len({*checks(3, tcpSocket={}), *checks(3, tcpSocket={}, onAllDown="closed")}) == 3


def test_too_much_says_the_sum_of_each() -> None:
    https = checks(101, httpGet={"scheme": "HTTPS"}, periodSeconds=0.5)
    programs = checks(51, exec={"command": ["/bin/true"]}, periodSeconds=1)
    assert too_much([*https, *programs], 253) == [
        "202.0 health checks by HTTPS a second, more than 200: longer periods or fewer endpoints are needed",
        "51.0 health checks by a program a second, more than 50: longer periods or fewer endpoints are needed",
    ]
    assert too_much([], 0) == []
    assert too_much(checks(50, tcpSocket={}), 10) == []
    assert too_much([*checks(10, tcpSocket={}), *checks(3, icmp={}, periodSeconds=0.5)], 8) == []
    assert too_much(checks(51, tcpSocket={}), 10) == [
        "10.2 health checks a second, more than 10: longer periods or fewer endpoints are needed"
    ]


def test_probe_of_a_question() -> None:
    assert probe_of(checks(1, tcpSocket={"port": 9})[0].question).kind == "tcpSocket"
    for hostile in ("", "{", "[]", '{"tcpSocket":{},"x":1}'):
        with pytest.raises(ValueError, match=r"."):
            probe_of(hostile)
