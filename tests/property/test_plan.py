"""Plans, run on a model of iptables-restore: they arrive, they leave others' rules alone, and no step breaks a way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import strategies
import support
from hypothesis import given
from hypothesis import strategies as st
from restore_model import restore
from support import catalogue

from sluice import settings
from sluice.addresses import IPV4
from sluice.backends.iptables import ownership, plan
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.text import BUILT_IN, OWNER_CHAIN, RuleSet

FOREIGN = [
    "-j DOCKER-USER",
    "-i lo -j ACCEPT",
    "-p tcp -m tcp --dport 22 -j ACCEPT",
    '-m comment --comment "-j KUBE-SERVICES" -j DROP',
    "-s 192.0.2.0/24 -j LOG",
]


@st.composite
def wanted(draw: st.DrawFn) -> RuleSet:
    """The rule set of a random catalogue, or none at all (``remove``)."""
    if draw(st.integers(0, 9)) == 0:
        return {}
    node, _ = settings.from_variables(draw(strategies.variables()))
    return support.rule_set(catalogue(*draw(strategies.catalogues(4))), node, IPV4)


@st.composite
def kernels(draw: st.DrawFn) -> RuleSet:
    """A kernel that holds a rule set, what others put there, and the traces of people who changed ours."""
    kernel: RuleSet = {table: {chain: [] for chain in chains} for table, chains in BUILT_IN.items()}
    for table, chains in draw(wanted()).items():
        for chain, rules in chains.items():
            kernel[table][chain] = list(rules)
    for chains in kernel.values():
        chains["DOCKER-USER"] = draw(st.lists(st.sampled_from(FOREIGN[1:]), max_size=2))
        _meddle(draw, chains)
        for chain in [*BUILT_IN["mangle"], "DOCKER-USER"]:
            for rule in draw(st.lists(st.sampled_from(FOREIGN[1:]), max_size=2)) if chain in chains else ():
                chains[chain].insert(draw(st.integers(0, len(chains[chain]))), rule)
        chains[next(iter(chains))].append(FOREIGN[0])
    return kernel


def _meddle(draw: st.DrawFn, chains: dict[str, list[str]]) -> None:
    """Rules and chains of ours that went, came, moved or were repeated by hand."""
    ours = [chain for chain in chains if ownership.is_ours(chain)]
    for chain in draw(st.lists(st.sampled_from(ours), max_size=3)) if ours else ():
        rules = chains[chain]
        action = draw(st.sampled_from(["empty", "drop one", "repeat", "reverse", "foreign"]))
        if action == "empty":
            rules.clear()
        elif action == "reverse":
            rules.reverse()
        elif action == "foreign":
            rules.append("-p tcp -m tcp --dport 25 -j DROP")
        elif rules:
            place = draw(st.integers(0, len(rules) - 1))
            rules[place : place + 1] = [] if action == "drop one" else [rules[place]] * 2
    if draw(st.booleans()):
        chains["KUBE-SEP-OLD"] = ["-j KUBE-SVC-OLD"]
        chains["KUBE-SVC-OLD"] = []
        chains[next(iter(chains))].append("-j KUBE-SEP-OLD")


def foreign(kernel: RuleSet) -> dict[tuple[str, str], list[str]]:
    """Others' chains and rules, in their order."""
    return {
        (table, chain): [rule for rule in rules if not ownership.is_ours(ownership.target_of(rule))]
        for table, chains in kernel.items()
        for chain, rules in chains.items()
        if not ownership.is_ours(chain)
    }


def without_empty(rules: dict[str, dict[str, list[str]]]) -> RuleSet:
    """``rules`` without tables and built-in chains in which there is nothing of ours."""
    kept = {
        table: {chain: lines for chain, lines in chains.items() if lines or ownership.is_ours(chain)}
        for table, chains in rules.items()
    }
    return {table: chains for table, chains in kept.items() if chains}


def run(kernel: RuleSet, target: RuleSet, **options: Any) -> RuleSet:
    for step in plan.plan(kernel, target, **options).steps:
        kernel = restore(kernel, step)
    return kernel


@given(kernel=kernels(), target=wanted(), batches=st.booleans(), small=st.booleans())
def test_plan_arrives_and_rests(kernel: RuleSet, target: RuleSet, batches: bool, small: bool) -> None:
    """``small`` transactions, so that a catalogue of a few Services has several of each kind."""
    limits = {"SINGLE_LINES": 0, "BATCH_CHAINS": 2} if small else {"SINGLE_LINES": 1000}
    with mock.patch.multiple(plan, **limits):
        after = run(kernel, target, batches=batches)
        again = plan.plan(after, target, batches=batches)
    assert without_empty(ownership.owned(after)) == without_empty(target)
    assert foreign(after) == foreign(kernel)
    assert (again.steps, again.changes) == ((), ())


def moments(kernel: RuleSet, steps: Iterable[str]) -> Iterator[RuleSet]:
    """The kernel at each moment at which whoever sends ``steps`` may be killed: tables change one after the other."""
    for step in steps:
        for table in step.split("COMMIT\n")[:-1]:
            kernel = restore(kernel, f"{table}COMMIT\n")
            yield kernel


@given(
    kernel=kernels(),
    target=wanted(),
    batches=st.booleans(),
    small=st.booleans(),
    order=st.sampled_from([list, sorted, lambda chains: sorted(chains, reverse=True)]),
    data=st.data(),
)
def test_no_chain_of_ours_is_without_the_mark(
    kernel: RuleSet,
    target: RuleSet,
    batches: bool,
    small: bool,
    order: Callable[[Iterable[str]], list[str]],
    data: st.DataObject,
) -> None:
    """Wherever an apply is killed, whatever its plan was made from, and in whichever ``order`` chains are told."""
    for chains in kernel.values():
        if any(map(ownership.is_ours, chains)):
            chains[OWNER_CHAIN] = []
    have, want = (
        {table: {chain: rules[table][chain] for chain in order(rules[table])} for table in rules}
        for rules in (kernel, target)
    )
    recorded = data.draw(st.booleans(), label="recorded")
    parts = ruleset.difference(ruleset.text(ownership.owned(have)), ruleset.text(want)) if recorded else (have, want)
    limits = {"SINGLE_LINES": 0, "BATCH_CHAINS": 2, "MANY_CHAINS": 4} if small else {"SINGLE_LINES": 1000}
    with mock.patch.multiple(plan, **limits):
        found = list(moments(kernel, plan.plan(*parts, batches=batches).steps))
        for chains in (chains for held in found for chains in held.values()):
            assert OWNER_CHAIN in chains or not any(map(ownership.is_ours, chains))
        if found:
            held = data.draw(st.sampled_from(found), label="killed")
            assert without_empty(ownership.owned(run(held, target, batches=batches))) == without_empty(target)


@given(kernel=kernels(), target=wanted())
def test_our_jumps_come_first(kernel: RuleSet, target: RuleSet) -> None:
    """Whatever stood in a built-in chain, a packet asks ours before others'; host ports come behind all."""
    after = run(kernel, target)
    for table, chains in target.items():
        for chain in BUILT_IN[table]:
            jumps = chains.get(chain, [])
            head = [rule for rule in jumps if ownership.target_of(rule) != "KUBE-HOSTPORTS"]
            assert after[table][chain][: len(head)] == head
            assert [rule for rule in after[table][chain] if rule in jumps] == jumps


@given(target=wanted())
def test_plan_of_an_empty_kernel_says_each_chain_once(target: RuleSet) -> None:
    changes = plan.plan({}, target).changes
    assert len({(change.table, change.chain) for change in changes}) == len(changes)
    assert all(change.added or ownership.is_ours(change.chain) for change in changes)
