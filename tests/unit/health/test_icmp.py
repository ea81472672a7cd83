"""ICMP: what is sent, and that a node that may not ask says so. Echoes: tests/kernel/health/test_checker.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from asking import LOOPBACK, ask, target

from sluice.health.reasons import Reason


def allowed() -> bool:
    low, high = map(int, Path("/proc/sys/net/ipv4/ping_group_range").read_text().split())
    return any(low <= group <= high for group in {os.getegid(), *os.getgroups()})


@pytest.mark.parametrize("address", LOOPBACK.values())
def test_an_echo_or_that_it_is_forbidden(address: str) -> None:
    assert ask(target({"icmp": {}}, address, 0)) is (Reason.FINE if allowed() else Reason.FORBIDDEN)
