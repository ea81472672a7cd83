"""A packet's walk through chains of rules, whoever's they are; where chance decides it goes every way.

Ways that meet again, with nothing that tells them apart, are one from there: as many rules as there are that chance
decides, there are no more ways than places.

Pure. What a rule asks and does is the business of whoever gives the chains.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Callable, NamedTuple, Protocol

from .outcomes import Step
from .packets import State

_DEEPEST = 1000
"""Jumps after which chains are taken to lead in a circle: a kernel takes no more than 16 that return."""

ACCEPT, DROP, REJECT, RETURN, GO_ON = "accept", "drop", "reject", "return", "go on"


class Act(NamedTuple):
    """What a rule does: a verdict, or GO_ON, in ``chain`` if that is one; ``goto`` has no way back.

    ``after`` is the packet's state behind it.
    """

    verdict: str
    after: State
    chain: str = ""
    goto: bool = False


class Met(NamedTuple):
    """What comes of a rule by this chance, and why it matched."""

    chance: Fraction
    why: str
    act: Act


class Rule(Protocol):
    """A rule of a chain. ``text`` as the kernel's tool prints it."""

    @property
    def text(self) -> str: ...

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        """All that may come of a packet that meets the rule. As far as that is not certain, why nothing does."""


class Chains(NamedTuple):
    """The chains of one table: ``of`` gives the rules of a chain, None where it is not there."""

    table: str
    of: Callable[[str], Sequence[Rule] | None]


class Trail(NamedTuple):
    """The way so far; all that branch off it share it."""

    before: Trail | None
    step: Step


class Walker(NamedTuple):
    """A packet under way, or at an end, which ``verdict`` says.

    ``share``: how much of the probability is that of its trail; what else there is has come by ways less likely.
    """

    verdict: str
    state: State
    probability: Fraction
    trail: Trail | None = None
    share: Fraction = Fraction(1)

    @property
    def sameness(self) -> Hashable:
        """Two in which this is the same have the same before them. The node is the same for all."""
        return self.verdict, self.state.packet, self.state[2:]

    def joined(self, other: Walker) -> Walker:
        """Both as one, with the trail that is the likelier one."""
        own, others = self.probability * self.share, other.probability * other.share
        probability = self.probability + other.probability
        trail = self.trail if own >= others else other.trail
        return self._replace(probability=probability, trail=trail, share=max(own, others) / probability)

    @property
    def path(self) -> tuple[Step, ...]:
        found = []
        at = self.trail
        while at is not None:
            found.append(at.step)
            at = at.before
        return tuple(reversed(found))


class _Place(NamedTuple):
    """Where a walker is: before the rule of a number, after so many jumps. ``back``: the places to return to.

    ``way``: the numbers of the rules that have led there, of which each place has a greater one than those before it.
    """

    chain: str
    number: int
    back: tuple[_Place, ...] = ()
    jumps: int = 0
    way: tuple[int, ...] = ()


class CircleError(ValueError):
    """Chains lead in a circle; no kernel has such ones."""


def walk(chains: Chains, start: str, policy: str, walker: Walker) -> Iterator[Walker]:
    """Every end of a walk through the built-in chain ``start``. Its policy decides where no rule does.

    Raises CircleError.
    """
    waiting = _Waiting()
    waiting.add(_Place(start, 0), walker)
    while waiting:
        place, here = waiting.first()
        for there, on in _steps(chains, place, here):
            if there is not None:
                waiting.add(there, on)
            elif on.verdict == GO_ON:
                yield _by_policy(chains, start, policy, on)
            else:
                yield on


def together(walkers: Iterable[Walker], alike: Callable[[Walker], Hashable]) -> list[Walker]:
    """Those that are alike as one."""
    found: dict[Hashable, Walker] = {}
    for each in walkers:
        key = alike(each)
        other = found.get(key)
        found[key] = each if other is None else other.joined(each)
    return list(found.values())


class _Waiting:
    """Walkers that have to go on. Those behind go first, so that they are where others wait before these go."""

    def __init__(self) -> None:
        self._at: dict[Hashable, tuple[_Place, Walker]] = {}
        self._order: list[tuple[tuple[int, ...], int, Hashable]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._order)

    def add(self, place: _Place, walker: Walker) -> None:
        back = tuple((each.chain, each.number) for each in place.back)
        key = place.chain, place.number, back, walker.sameness
        held = self._at.get(key)
        if held is None:
            self._added += 1
            self._at[key] = place, walker
            heapq.heappush(self._order, ((*place.way, place.number), self._added, key))
        else:
            self._at[key] = place._replace(jumps=max(place.jumps, held[0].jumps)), held[1].joined(walker)

    def first(self) -> tuple[_Place, Walker]:
        _way, _number, key = heapq.heappop(self._order)
        return self._at.pop(key)


def _by_policy(chains: Chains, start: str, policy: str, walker: Walker) -> Walker:
    """A policy that takes a packet is a step of its way; one that lets it on is none."""
    if policy == ACCEPT:
        return walker._replace(verdict=policy)
    step = Step(chains.table, start, f"policy {policy}", "no rule of the chain has decided")
    return walker._replace(verdict=policy, trail=Trail(walker.trail, step))


def _steps(chains: Chains, place: _Place, walker: Walker) -> Iterator[tuple[_Place | None, Walker]]:
    """The branches of a walker up to the end of its chain: where each goes on, or None where it is at an end."""
    rules = chains.of(place.chain) or ()
    left = walker.probability
    skipped: dict[str, int] = {}
    for number in range(place.number, len(rules)):
        rule = rules[number]
        found, why_not = rule.meet(walker.state)
        before, rest = dict(skipped), Fraction(1)
        for chance, why, act in found:
            rest -= chance
            step = Step(chains.table, place.chain, rule.text, why, before)
            trail = Trail(walker.trail, step)
            on = Walker(act.verdict, act.after, left * chance, trail, walker.share)
            yield _next(place, number, act), on if act.verdict != RETURN else on._replace(verdict=GO_ON)
        left *= rest
        if not left:
            return
        skipped[why_not] = skipped.get(why_not, 0) + 1
    yield _behind(place), walker._replace(verdict=GO_ON, probability=left)


def _next(place: _Place, number: int, act: Act) -> _Place | None:
    if act.verdict == RETURN:
        return _behind(place)
    if act.verdict != GO_ON:
        return None
    if not act.chain:
        return place._replace(number=number + 1)
    if place.jumps == _DEEPEST:
        raise CircleError(f"chain {act.chain} leads back to itself")
    back = place.back if act.goto else (*place.back, place._replace(number=number + 1))
    return _Place(act.chain, 0, back, place.jumps + 1, (*place.way, number))


def _behind(place: _Place) -> _Place | None:
    return place.back[-1]._replace(jumps=place.jumps) if place.back else None
