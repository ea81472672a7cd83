"""Dialects are sound data: what leads somewhere leads to a chain that there always is."""

from __future__ import annotations

import pytest

from sluice.backends.iptables.dialect import DIALECTS, EXT, HOST_PORT_JUMPS, XLB, Dialect, Jump
from sluice.backends.iptables.ownership import is_ours, target_of
from sluice.backends.iptables.text import BUILT_IN, HOST_PORTS_CHAIN

ALL = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


@ALL
def test_jumps_lead_from_built_in_chains_to_ours(dialect: Dialect) -> None:
    for jump in dialect.jumps:
        assert jump.chain in BUILT_IN[jump.table]
        assert jump.target in dialect.chains[jump.table]
        assert target_of(jump.rule) == jump.target
    assert len(set(dialect.jumps)) == len(dialect.jumps)
    assert {(jump.table, jump.target) for jump in HOST_PORT_JUMPS} == {("nat", HOST_PORTS_CHAIN)}


@ALL
def test_chains_have_our_names_in_the_order_of_kube_proxy(dialect: Dialect) -> None:
    for chains in dialect.chains.values():
        assert list(chains) == sorted(chains)
        assert all(map(is_ours, chains))


def test_layouts_are_those_of_the_releases() -> None:
    assert {name: dialect.layout for name, dialect in DIALECTS.items()} == {"1.18": XLB, "1.20": XLB, "1.36": EXT}


def test_a_jump_without_a_match() -> None:
    assert Jump("filter", "INPUT", "", "KUBE-FIREWALL").rule == "-j KUBE-FIREWALL"
    assert Jump("filter", "INPUT", "-i lo", "KUBE-FIREWALL").rule == "-i lo -j KUBE-FIREWALL"
