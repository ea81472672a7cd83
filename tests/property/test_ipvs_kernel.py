"""Random catalogues in IPVS mode: the kernel takes their sets and rules, and prints them as we do."""

from __future__ import annotations

import re
from typing import Any

import hypothesis
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from support import catalogue, in_a_namespace, rules_by_chain

from sluice import settings, view
from sluice.addresses import IPV4, IPV6
from sluice.backends.iptables import text as ruleset
from sluice.backends.ipvs import ipset_text
from sluice.backends.ipvs import plan as ipvs_plan
from sluice.backends.ipvs.ipset_text import Sets
from sluice.backends.ipvs.rules import IpvsState, state

COMMAND = {IPV4: "iptables", IPV6: "ip6tables"}
HELD_BACK = re.compile(r"^-A .* -m ipvs .*\n", re.MULTILINE)
FEW = hypothesis.settings(max_examples=15)
"""Each example takes some processes."""


@st.composite
def states(draw: st.DrawFn) -> IpvsState:
    """What a random node wants in one of its families."""
    variables: dict[str, Any] = draw(strategies.variables())
    node, _ = settings.from_variables(variables)
    found = catalogue(*draw(strategies.catalogues(4)))
    return state(view.view(found, node, draw(st.sampled_from([IPV4, IPV6]))), node, guard=draw(st.booleans()))


def held(sets: Sets) -> dict[str, tuple[str, set[str]]]:
    """Sets without the order of their members."""
    return {name: (entry.header, set(entry.members)) for name, entry in sets.items()}


@pytest.mark.usefixtures("needs_root")
@FEW
@given(wanted=states(), variant=st.sampled_from(["nft", "legacy"]))
def test_the_kernel_prints_our_text(wanted: IpvsState, variant: str) -> None:
    rules = HELD_BACK.sub("", ruleset.text(wanted.rules))
    tool = COMMAND[IPV6 if any("KUBE-6-" in name for name in wanted.tables.sets) else IPV4]
    load = f'printf %s "$sets" | ipset restore; printf %s "$rules" | {tool}-{variant}-restore --noflush'
    printed = in_a_namespace(
        f'{load}; {tool}-{variant}-save; echo "# sets"; ipset save',
        sets=ipset_text.text(wanted.tables.sets),
        rules=rules,
    )
    saved, _, sets = printed.partition("# sets\n")
    assert rules_by_chain(saved) == rules_by_chain(rules)
    assert held(ipset_text.parse(sets)) == held(wanted.tables.sets)


@pytest.mark.usefixtures("needs_root")
@FEW
@given(old=states(), new=states())
def test_the_kernel_takes_the_plan_for_its_sets(old: IpvsState, new: IpvsState) -> None:
    found = ipvs_plan.plan(old.tables, new.tables, old.tables.servers)
    lines = "".join(step.text for step in found.before + found.after if step.tool == "ipset")
    load = 'printf %s "$sets" | ipset restore; printf %s "$plan" | ipset restore; ipset save'
    printed = in_a_namespace(load, sets=ipset_text.text(old.tables.sets), plan=lines)
    assert held(ipset_text.parse(printed)) == held(new.tables.sets)
