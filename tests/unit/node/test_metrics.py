"""Numbers of a node, in the form that Prometheus reads."""

from __future__ import annotations

import re

from sluice.catalogue.counts import Counts
from sluice.node import metrics
from sluice.node.state import InForce
from sluice.node.status import Drift, Status

WELL = Status(
    "lb1", "iptables", InForce(7), None, Counts(12, 0, 36, 35), {"10.0.0.1": "a/b"}, (5, 100), Drift(3), {}, None
)


def values(found: Status) -> dict[str, str]:
    lines = metrics.text(found).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_all_that_is_known() -> None:
    assert values(WELL) == {
        "sluice_generation": "7",
        "sluice_services": "12",
        'sluice_endpoints{ready="true"}': "35",
        'sluice_endpoints{ready="false"}': "1",
        "sluice_endpoints_without_route": "1",
        "sluice_drift_lines": "3",
        "sluice_change_pending": "0",
        "sluice_change_taken_back": "0",
        "sluice_connections": "5",
        "sluice_connections_max": "100",
    }


def test_what_is_not_known_is_left_out() -> None:
    found = values(WELL._replace(held=None, drift=Drift(None, "no root"), connections=(0, 0)))
    assert not [name for name in found if re.search("services|ready|drift|connections", name)]


def test_each_has_its_help_and_type() -> None:
    text = metrics.text(WELL)
    names = set(re.findall(r"^(sluice_\w+)", text, re.MULTILINE))
    assert len(names) == len(values(WELL)) - 1, "endpoints are two values of one"
    for name in names:
        assert re.search(rf"^# HELP {name} \S.*\n# TYPE {name} gauge\n{name}", text, re.MULTILINE)
