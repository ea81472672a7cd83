"""What a node is warned of."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.node import facts

NOTHING: dict[str, Any] = {"rolled_back": None, "flushers": [], "announcers": []}
KEEPALIVED = {**NOTHING, "announcers": ["keepalived (pid 7)"]}


@pytest.mark.parametrize("backend", ["iptables", "ipvs", "nobody knows it"])
def test_no_warning_where_nothing_was_found(backend: str) -> None:
    assert facts.warnings(NOTHING, backend, strict_arp=False, repairs=False) == []


def test_a_change_that_was_taken_back() -> None:
    found = {**NOTHING, "rolled_back": {"time": "12:00", "reason": "it was not confirmed"}}
    (line,) = facts.warnings(found, "iptables", strict_arp=False, repairs=True)
    assert line.endswith("taken back by the node at 12:00: it was not confirmed")


def test_services_that_flush_rules_matter_where_nobody_repairs() -> None:
    found = {**NOTHING, "flushers": ["firewalld"]}
    (line,) = facts.warnings(found, "iptables", strict_arp=False, repairs=False)
    assert "firewalld" in line
    assert facts.warnings(found, "iptables", strict_arp=False, repairs=True) == []


def test_announcers_matter_where_addresses_are_bound_without_strict_arp() -> None:
    (line,) = facts.warnings(KEEPALIVED, "ipvs", strict_arp=False, repairs=False)
    assert "keepalived (pid 7)" in line
    assert facts.warnings(KEEPALIVED, "ipvs", strict_arp=True, repairs=False) == []
    assert facts.warnings(KEEPALIVED, "iptables", strict_arp=False, repairs=False) == []
