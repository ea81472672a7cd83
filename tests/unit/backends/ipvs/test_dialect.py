"""Dialects are sound data: rules match sets that there are, and stand in chains that there always are."""

from __future__ import annotations

import pytest

from sluice.backends.iptables.text import BUILT_IN
from sluice.backends.ipvs.dialect import COMMENTS, DIALECTS, GUARD_JUMP, GUARD_SETS, NODE_PORTS, IpvsDialect

ALL = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


@ALL
def test_rules_match_sets_that_there_are(dialect: IpvsDialect) -> None:
    for rule in dialect.set_rules:
        assert rule.set_name in dialect.sets
        assert rule.set_name in COMMENTS
        assert rule.chain in dialect.chains[rule.table]
    assert {name for names in NODE_PORTS.values() for name in names} <= set(dialect.sets)


@ALL
def test_a_rule_says_as_many_directions_as_its_set_has(dialect: IpvsDialect) -> None:
    for rule in dialect.set_rules:
        assert len(rule.directions.split(",")) == len(dialect.sets[rule.set_name].partition(":")[2].split(","))


@ALL
def test_chains_end_with_what_is_left(dialect: IpvsDialect) -> None:
    for table, chain, _rule in dialect.endings:
        assert any((rule.table, rule.chain) == (table, chain) for rule in dialect.set_rules)


@ALL
def test_jumps_lead_from_built_in_chains_to_ours(dialect: IpvsDialect) -> None:
    for jump in dialect.jumps:
        assert jump.chain in BUILT_IN[jump.table]
        assert jump.target in dialect.chains[jump.table]
    assert dialect.guard == (GUARD_JUMP in dialect.jumps) == (set(GUARD_SETS) <= set(dialect.sets))
