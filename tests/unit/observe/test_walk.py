"""A walk through chains goes every way that chance leaves open, comes back from where it jumped, and loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.observe.outcomes import Step
from sluice.observe.packets import Node, Packet, State
from sluice.observe.walk import (
    ACCEPT,
    DROP,
    GO_ON,
    REJECT,
    RETURN,
    Act,
    Chains,
    CircleError,
    Met,
    Walker,
    together,
    walk,
)

STATE = State(Packet("10.96.0.1", 80), Node())


class Ruled(NamedTuple):
    """A rule that matches with a chance, 0 for never, and marks what it goes on with."""

    verdict: str
    chain: str = ""
    chance: Fraction = Fraction(1)
    goto: bool = False

    @property
    def text(self) -> str:
        return f"{self.verdict} {self.chain}".strip()

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        if not self.chance:
            return (), "never"
        act = Act(self.verdict, state._replace(mark=state.mark + 1), self.chain, self.goto)
        return [Met(self.chance, "so it is", act)], "by chance"


def _walked(chains: dict[str, list[Ruled]], policy: str = ACCEPT) -> list[Walker]:
    return list(walk(Chains("nat", chains.get), "start", policy, Walker(GO_ON, STATE, Fraction(1))))


@pytest.mark.parametrize(
    ("chains", "verdict"),
    [
        ({"start": []}, ACCEPT),
        ({}, ACCEPT),
        ({"start": [Ruled(DROP), Ruled(REJECT)]}, DROP),
        ({"start": [Ruled(GO_ON), Ruled(REJECT)]}, REJECT),
        ({"start": [Ruled(RETURN), Ruled(DROP)]}, ACCEPT),
        ({"start": [Ruled(GO_ON, "a"), Ruled(DROP)], "a": [Ruled(RETURN), Ruled(REJECT)]}, DROP),
        ({"start": [Ruled(GO_ON, "a"), Ruled(DROP)], "a": []}, DROP),
        ({"start": [Ruled(GO_ON, "nowhere"), Ruled(DROP)]}, DROP),
        ({"start": [Ruled(GO_ON, "a", goto=True), Ruled(DROP)], "a": []}, ACCEPT),
        (
            {
                "start": [Ruled(GO_ON, "a"), Ruled(REJECT)],
                "a": [Ruled(GO_ON, "b", goto=True), Ruled(DROP)],
                "b": [],
            },
            REJECT,
        ),
    ],
    ids=["empty", "none", "first", "on", "return", "back", "behind", "dangling", "goto", "goto-and-back"],
)
def test_where_a_walk_ends(chains: dict[str, list[Ruled]], verdict: str) -> None:
    (end,) = _walked(chains)
    assert (end.verdict, end.probability) == (verdict, 1)


def test_a_policy_decides_where_no_rule_does() -> None:
    rules = {"start": [Ruled(GO_ON), Ruled(DROP, chance=Fraction(0))]}
    (end,) = _walked(rules, DROP)
    assert (end.verdict, end.path[-1]) == (
        DROP,
        Step("nat", "start", "policy drop", "no rule of the chain has decided"),
    )
    (end,) = _walked(rules, ACCEPT)
    assert [step.rule for step in end.path] == ["go on"], "one that lets it on is nobody's step"


def test_chance_goes_both_ways() -> None:
    ends = _walked({"start": [Ruled(DROP, chance=Fraction(1, 3)), Ruled(REJECT, chance=Fraction(1, 2))]})
    third = Fraction(1, 3)
    assert {end.verdict: end.probability for end in ends} == {DROP: third, REJECT: third, ACCEPT: third}


def test_the_way_is_told_with_what_was_passed_over() -> None:
    never = Ruled(DROP, chance=Fraction(0))
    (end,) = _walked({"start": [never, never, Ruled(GO_ON, "a")], "a": [never, Ruled(REJECT)]})
    assert [(step.chain, step.rule, step.why, step.skipped) for step in end.path] == [
        ("start", "go on a", "so it is", {"never": 2}),
        ("a", "reject", "so it is", {"never": 1}),
    ]
    assert end.state.mark == 2


@pytest.mark.parametrize("chance", [Fraction(1), Fraction(1, 2)])
def test_a_circle(chance: Fraction) -> None:
    with pytest.raises(CircleError, match="chain a leads back to itself"):
        _walked({"start": [Ruled(GO_ON, "a", chance)], "a": [Ruled(GO_ON, "a", chance)]})


@st.composite
def _graphs(draw: st.DrawFn) -> dict[str, list[Ruled]]:
    """Chains that jump only to later ones."""
    names = ["start", "a", "b", "c"]
    rules = {
        name: st.builds(
            Ruled,
            st.sampled_from([ACCEPT, DROP, REJECT, RETURN, GO_ON, GO_ON]),
            st.sampled_from(["", *names[number + 1 :]]),
            st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(1)]),
            st.booleans(),
        )
        for number, name in enumerate(names)
    }
    return {name: draw(st.lists(rule, max_size=3)) for name, rule in rules.items()}


@given(_graphs(), st.sampled_from([ACCEPT, DROP]))
def test_all_ends_add_up_to_one(chains: dict[str, list[Ruled]], policy: str) -> None:
    ends = _walked(chains, policy)
    assert sum(end.probability for end in ends) == 1
    assert {end.verdict for end in ends} <= {ACCEPT, DROP, REJECT}
    assert all(end.probability > 0 for end in ends)


def test_ways_that_meet_again_are_one() -> None:
    """Sixty rules that send back half of the packets each: with a way for each of them there would be 2^60."""
    half = Fraction(1, 2)
    start = [Ruled(GO_ON, "a", half)] * 60 + [Ruled(GO_ON, "b", half)] * 60
    sent_back, accepted = [Ruled(RETURN, "", half), Ruled(RETURN)], [Ruled(RETURN, "", half), Ruled(ACCEPT)]
    chains = {"start": start, "a": sent_back, "b": accepted}
    met = 0

    class Counted(Back):
        def meet(self, state: State) -> tuple[Sequence[Met], str]:
            nonlocal met
            met += 1
            return super().meet(state)

    counted = {name: [Counted(*rule) for rule in rules] for name, rules in chains.items()}
    ends = list(walk(Chains("nat", counted.get), "start", ACCEPT, Walker(GO_ON, STATE, Fraction(1))))
    assert sum(end.probability for end in ends) == 1
    assert len(ends) <= 60 + 121, "one of each jump to b, and one of each place from which the chain is left"
    assert met <= 120 * 121 / 2 + 2 * 120, "no rule is met more often than once from each place before it"


class Back(Ruled):
    """One that leaves the packet as it is."""

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        return [Met(self.chance, "so it is", Act(self.verdict, state, self.chain, self.goto))], "by chance"


def test_the_likeliest_of_the_ways_that_meet_is_told() -> None:
    tenth = Fraction(1, 10)
    rules = [Back(GO_ON, "a", 3 * tenth), Back(GO_ON, "b", 3 * tenth), Back(ACCEPT)]
    (end,) = together(
        walk(
            Chains("nat", {"start": rules, "a": [Back(GO_ON)], "b": [Back(RETURN)]}.get),
            "start",
            DROP,
            Walker(GO_ON, STATE, Fraction(1)),
        ),
        lambda each: each.verdict,
    )
    assert end.probability == 1
    assert end.share == Fraction(49, 100)
    assert [step.rule for step in end.path] == ["accept"], "that of 49 of 100, before those of 30 and 21"
