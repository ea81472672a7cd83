"""What may become of a packet, as a graph to be drawn: chains are boxes, ends are leaves, chances lie between them.

All ways that come through a chain share its box; one that comes to it again, behind others, has another box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..faults import printable
from .outcomes import DROP, ENDPOINT, PASS, REJECT, Outcome, Step
from .packets import Packet
from .trace import Traced
from .trace_text import ENDS, packet_text, sees, shared

MOST = 6
"""Ends that a graph has of each packet; one more stands for all others."""

START, CHAIN, OTHERS = "start", "chain", "others"
"""Kinds of boxes besides those of ends, which are verdicts: where the packet comes in, a chain, all other ends."""


class Place(NamedTuple):
    """A box. ``rules``: those of a chain that did something, each with the reason; for an end, what is said of it."""

    kind: str
    title: str
    rules: tuple[tuple[str, str], ...] = ()


class Graph(NamedTuple):
    """``edges``: the chance of each way from one place to another, which have their numbers in ``places``.

    The first place is where the packet comes in. No edges lead in a circle.
    """

    places: Sequence[Place]
    edges: dict[tuple[int, int], Fraction]

    def is_parting(self, place: int) -> bool:
        """Whether ways part behind a place."""
        return sum(source == place for source, _target in self.edges) > 1


def graph(traced: Traced) -> Graph:
    """The graph of one packet."""
    built = _Building(traced.packet)
    shown = _shown(traced.outcomes)
    for outcome in shown:
        built.add(outcome.path, _end(traced.packet, outcome), outcome.probability)
    others = [outcome for outcome in traced.outcomes if outcome not in shown]
    if others:
        chance = sum((outcome.probability for outcome in others), Fraction(0))
        built.add(_common(traced.outcomes), Place(OTHERS, f"and {len(others):,} more"), chance)
    return built.graph()


def _shown(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The first ones; also the first of each kind, so that no kind of end is left out."""
    if len(outcomes) <= MOST:
        return list(outcomes)
    kinds: dict[tuple[str, bool], int] = {}
    for number, outcome in enumerate(outcomes):
        kinds.setdefault((outcome.verdict, outcome.masquerade), number)
    taken = list(dict.fromkeys([*kinds.values(), *range(len(outcomes))]))[: MOST - 1]
    return [outcomes[number] for number in sorted(taken)]


def _common(outcomes: Sequence[Outcome]) -> list[Step]:
    """The way up to where ways part, with the chain in which they do."""
    paths = [outcome.path for outcome in outcomes]
    count = shared(paths)
    path = list(paths[0][:count])
    behind = [steps[count] if len(steps) > count else None for steps in paths]
    first = behind[0]
    if first and all(step and (step.table, step.chain) == (first.table, first.chain) for step in behind):
        path.append(first._replace(rule=""))
    return path


def _end(packet: Packet, outcome: Outcome) -> Place:
    if outcome.verdict == ENDPOINT:
        return Place(ENDPOINT, outcome.endpoint, ((sees(packet, outcome), ""),))
    title, _colon, more = ENDS[outcome.verdict].partition(": ")
    return Place(outcome.verdict, title, ((more, ""),) if more else ())


class _Building:
    def __init__(self, packet: Packet) -> None:
        title, source = packet_text(packet)
        self._places: list[tuple[str, str, dict[tuple[str, str], None]]] = [(START, title, {(source, ""): None})]
        self._of_chain: dict[tuple[str, str], list[int]] = {}
        self._after: list[set[int]] = [set()]
        self._edges: dict[tuple[int, int], Fraction] = {}

    def add(self, path: Sequence[Step], end: Place, chance: Fraction) -> None:
        at = 0
        for title, rules in _visits(path):
            to = self._chain(title, at)
            self._places[to][2].update(dict.fromkeys(rules))
            self._join(at, to, chance)
            at = to
        self._join(at, self._new(end.kind, end.title, end.rules), chance)

    def graph(self) -> Graph:
        return Graph([Place(kind, title, tuple(rules)) for kind, title, rules in self._places], self._edges)

    def _chain(self, title: tuple[str, str], at: int) -> int:
        """The box of a chain to which a way leads from ``at`` without coming back to where it was."""
        known = self._of_chain.setdefault(title, [])
        for number in known:
            if not self._leads(number, at):
                return number
        known.append(self._new(CHAIN, printable(" ".join(title)), ()))
        return known[-1]

    def _new(self, kind: str, title: str, rules: Sequence[tuple[str, str]]) -> int:
        self._places.append((kind, title, dict.fromkeys(rules)))
        self._after.append(set())
        return len(self._places) - 1

    def _leads(self, source: int, target: int) -> bool:
        waiting, seen = [source], {source}
        while waiting:
            at = waiting.pop()
            if at == target:
                return True
            waiting += self._after[at] - seen
            seen |= self._after[at]
        return False

    def _join(self, source: int, target: int, chance: Fraction) -> None:
        self._after[source].add(target)
        self._edges[source, target] = self._edges.get((source, target), Fraction(0)) + chance


def _visits(path: Sequence[Step]) -> Iterator[tuple[tuple[str, str], list[tuple[str, str]]]]:
    """The chains of a way, one behind the other, with what was met there."""
    before: tuple[str, str] | None = None
    rules: list[tuple[str, str]] = []
    for step in path:
        chain = step.table, step.chain
        if before is not None and chain != before:
            yield before, rules
            rules = []
        before = chain
        if step.rule:
            rules.append((printable(step.rule), printable(step.why)))
    if before is not None:
        yield before, rules


LOST = (REJECT, DROP)
KEPT = (ENDPOINT, PASS, OTHERS)
"""Kinds of ends: those that no packet survives, and all others."""
