"""Chains of others that packets to Services do not pass."""

from __future__ import annotations

import pytest

from sluice.addresses import IPV4
from sluice.backends.nftables import obstacles
from sluice.backends.nftables.netlink import BaseChain

FORWARD, INPUT, OUTPUT = 2, 1, 3


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (BaseChain("ip", "filter", "FORWARD", "filter", FORWARD, 0, drops=True), "table ip filter drops packets that"),
        (BaseChain("ip", "filter", "FORWARD", "filter", FORWARD, 0, drops=False), ""),
        (BaseChain("ip", "filter", "INPUT", "filter", INPUT, 0, drops=True), ""),
        (BaseChain("inet", "firewall", "pre", "nat", 0, -101, drops=False), "may rewrite destinations before Sluice"),
        (BaseChain("ip", "nat", "OUTPUT", "nat", OUTPUT, -100, drops=False), ""),
        (BaseChain("ip", "sluice", "nat-output", "nat", OUTPUT, -101, drops=False), ""),
        (BaseChain("netdev", "x", "ingress", "filter", 9, -500, drops=True), ""),
    ],
)
def test_what_is_in_the_way(chain: BaseChain, said: str) -> None:
    found = list(obstacles.lines(IPV4, [chain]))
    assert len(found) == bool(said)
    assert said in "".join(found)
