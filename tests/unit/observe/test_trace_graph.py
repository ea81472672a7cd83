"""A trace as a graph: what chains and ends are in it, with which chances, and that no edges lead in a circle."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from sluice.observe.outcomes import DROP, ENDPOINT, Outcome, Step
from sluice.observe.packets import Packet
from sluice.observe.trace import Traced
from sluice.observe.trace_graph import CHAIN, MOST, OTHERS, START, Graph, graph

PACKET = Packet("10.96.0.1", 80)


def _step(chain: str, rule: str = "") -> Step:
    return Step("nat", chain, rule or f"-j after-{chain}", "every packet")


def _graph(*outcomes: Outcome) -> Graph:
    return graph(Traced(PACKET, outcomes))


def _endpoints(count: int, *, masqueraded: int = -1) -> list[Outcome]:
    return [
        Outcome(
            ENDPOINT,
            f"10.1.0.{number}:80",
            Fraction(1, count),
            number == masqueraded,
            (_step("PREROUTING"), _step("SVC", f"-j {number}"), _step(f"SEP-{number}"), _step("POSTROUTING")),
        )
        for number in range(count)
    ]


def _flow(found: Graph, place: int, *, into: bool) -> Fraction:
    return sum((chance for edge, chance in found.edges.items() if edge[into] == place), Fraction(0))


def test_ways_share_the_boxes_of_chains() -> None:
    found = _graph(*_endpoints(2))
    assert [(place.kind, place.title) for place in found.places] == [
        (START, "tcp to 10.96.0.1:80"),
        (CHAIN, "nat PREROUTING"),
        (CHAIN, "nat SVC"),
        (CHAIN, "nat SEP-0"),
        (CHAIN, "nat POSTROUTING"),
        (ENDPOINT, "10.1.0.0:80"),
        (CHAIN, "nat SEP-1"),
        (ENDPOINT, "10.1.0.1:80"),
    ]
    assert [rule for rule, _why in found.places[2].rules] == ["-j 0", "-j 1"]
    assert found.edges[1, 2] == 1
    assert found.edges[2, 3] == found.edges[2, 6] == Fraction(1, 2)
    assert [found.is_parting(place) for place in (1, 2, 3, 4)] == [False, True, False, True]


def test_a_chain_that_is_come_to_again_has_another_box() -> None:
    path = (_step("SERVICES", "-j MARK"), _step("MARK"), _step("SERVICES", "-j SVC"))
    found = _graph(Outcome(DROP, "", Fraction(1), False, path))
    assert [place.title for place in found.places[1:]] == ["nat SERVICES", "nat MARK", "nat SERVICES", "dropped"]


@pytest.mark.parametrize("count", [MOST, MOST + 1, 1000])
def test_of_many_ends_some_are_shown(count: int) -> None:
    found = _graph(*_endpoints(count, masqueraded=count - 1))
    ends = [place for place in found.places if place.kind in (ENDPOINT, OTHERS)]
    assert len(ends) == MOST
    said = {rule for place in ends for rule, _why in place.rules}
    assert said == {"sees the client", "sees the node"}, "each kind is shown"
    others = [place.title for place in ends if place.kind == OTHERS]
    assert others == ([f"and {count - MOST + 1} more"] if count > MOST else [])
    into = [_flow(found, number, into=True) for number, place in enumerate(found.places) if place in ends]
    assert sum(into) == 1


def test_others_part_where_all_do() -> None:
    found = _graph(*_endpoints(1000))
    others = next(number for number, place in enumerate(found.places) if place.kind == OTHERS)
    (before,) = [source for source, target in found.edges if target == others]
    assert found.places[before].title == "nat SVC"


def test_random_ways_lead_in_no_circle() -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    source = random.Random(seed)
    for _ in range(200):
        paths = [
            [_step(source.choice("ABCDE")) for _ in range(source.randrange(8))] for _ in range(source.randint(1, 9))
        ]
        outcomes = [Outcome(ENDPOINT, f"e{n}:1", Fraction(1, len(paths)), False, tuple(p)) for n, p in enumerate(paths)]
        found = _graph(*outcomes)
        left = set(range(len(found.places)))
        while left:
            free = {place for place in left if not any(to == place and at in left for at, to in found.edges)}
            assert free, found
            left -= free
        for place in range(1, len(found.places)):
            if found.places[place].kind == CHAIN:
                assert _flow(found, place, into=True) == _flow(found, place, into=False) > 0
