"""What goes while connections are left, and when."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sluice.backends.ipvs.drain import NO_DRAINS, Drains, after_apply, from_json, is_drains, settled, to_json
from sluice.backends.ipvs.plan import Draining, Step
from sluice.backends.ipvs.text import VirtualAddress

WEB, SIX = VirtualAddress("tcp", "10.96.0.1", 80), VirtualAddress("tcp", "fd00::1", 80)
ONE, TWO = Draining(WEB, "10.244.1.1:8080"), Draining(WEB, "10.244.1.2:8080")
STEPS = (Step("address", "del 10.96.0.1/32\n"), Step("ipvsadm", "-D -t 10.96.0.1:80\n"))


def test_real_server_goes_when_it_is_not_busy() -> None:
    drains = Drains({ONE: 100.0, TWO: 100.0}, (), (), 0.0)
    assert settled(drains, {ONE}, 50.0) == ([TWO], (), drains._replace(real={ONE: 100.0}))


def test_real_server_goes_when_its_time_is_over() -> None:
    drains = Drains({ONE: 100.0, TWO: 200.0}, (), (), 0.0)
    assert settled(drains, {ONE, TWO}, 101.0) == ([ONE], (), drains._replace(real={TWO: 200.0}))


def test_former_backend_goes_when_nobody_uses_it() -> None:
    drains = Drains({}, STEPS, (WEB,), 100.0)
    assert settled(drains, {TWO}, 50.0) == ([], (), drains)
    assert settled(drains, {TWO}, 101.0) == ([], STEPS, NO_DRAINS._replace(deadline=100.0))
    assert settled(drains, set(), 50.0) == ([], STEPS, NO_DRAINS._replace(deadline=100.0))


def test_connections_of_others_do_not_count() -> None:
    drains = Drains({}, STEPS, (WEB,), 100.0)
    assert settled(drains, {Draining(SIX, "[fd00::11]:8080")}, 50.0)[1] == STEPS


def test_drains_come_back_from_json() -> None:
    drains = Drains({ONE: 100.0, Draining(SIX, "[fd00::11]:8080"): 200.5}, STEPS, (WEB, SIX), 300.0)
    kept = json.loads(json.dumps(to_json(drains)))
    assert is_drains(kept)
    assert from_json(kept) == drains
    assert from_json(None) == from_json({}) == NO_DRAINS
    assert not NO_DRAINS
    assert drains._replace(steps=()) and drains._replace(real={})


def test_deadlines_of_earlier_applies_stay() -> None:
    before = Drains({ONE: 100.0}, (), (), 0.0)
    assert after_apply(before, [ONE, TWO], (), [], 150.0).real == {ONE: 100.0, TWO: 150.0}
    assert after_apply(before, [ONE], (), [], 50.0).real == {ONE: 50.0}, "unless they are sooner now"
    assert after_apply(before, [TWO], (), [], 150.0).real == {TWO: 150.0}, "what came back does not drain"


def test_another_backend_waits_for_connections_that_end() -> None:
    udp = WEB._replace(protocol="udp")
    first = after_apply(NO_DRAINS, [], STEPS, [WEB, udp, SIX], 100.0)
    assert (first.steps, first.frontends, first.deadline) == (STEPS, (WEB, SIX), 100.0)
    assert after_apply(first, [], STEPS, [WEB], 150.0).deadline == 100.0
    assert after_apply(first, [], STEPS[:1], [WEB], 150.0).deadline == 150.0, "other steps, another deadline"


KEPT = json.loads(json.dumps(to_json(Drains({ONE: 100.0}, STEPS, (WEB,), 300.0))))
WRONG: list[Any] = [None, True, 0, -1, 1.5, 70000, float("nan"), float("inf"), 10**400, "", "x", [], {}, [[]], [None]]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inside for found in places(each, (*path, key)))]


@pytest.mark.parametrize("place", places(KEPT), ids=str)
def test_drains_of_another_form_are_none(place: tuple[Any, ...]) -> None:
    """Whatever is in the place of a value: what is taken for drains is read without a fault, and is the same again."""
    for wrong in WRONG:
        damaged = {"all": copy.deepcopy(KEPT)}
        at: Any = damaged
        *way, last = ("all", *place)
        for key in way:
            at = at[key]
        at[last] = wrong
        if is_drains(damaged["all"]):
            assert json.loads(json.dumps(to_json(from_json(damaged["all"])))) == damaged["all"]
            assert wrong in ([], 1.5), "no entries, another time"


@pytest.mark.parametrize(
    ("tool", "lines"),
    [
        ("ipset", "destroy ACME\n"),
        ("ipset", "destroy\n"),
        ("ipset", "flush KUBE-CLUSTER-IP\n"),
        ("sh", "del 10.96.0.1/32\n"),
        ("address", "add 10.96.0.1/32\n"),
        ("address", "del 10.96.0.1/32"),
        ("address", "del 10.96.0.1/33\n"),
        ("address", "del 10.96.0.1/032\n"),
        ("address", "del 10.96.0.1\n"),
        ("address", "del 10.96.0.1/32 dev eth0\n"),
        ("address", "del 10.96.0.1/32\n\n"),
        ("address", "del all\n"),
        ("address", "del fe80::1%eth0/64\n"),
        ("ipvsadm", "-C\n"),
        ("ipvsadm", "-A -t 10.96.0.1:80\n"),
        ("ipvsadm", "-D -t 10.96.0.1:80\n-C\n"),
        ("ipvsadm", "-D -t 10.96.0.1:80\x0b-C\n"),
        ("ipvsadm", "-D -t 10.96.0.1:80 -C\n"),
        ("ipvsadm", "-D  -t 10.96.0.1:80\n"),
        ("ipvsadm", "-D -t 10.96.0.1:-1\n"),
        ("ipvsadm", "-D -t localhost:80\n"),
        ("ipvsadm", "-D -f 1\n"),
        ("ipvsadm", "\n"),
    ],
)
def test_steps_do_nothing_but_remove(tool: str, lines: str) -> None:
    assert not is_drains({**KEPT, "steps": [[tool, lines]]})


def test_all_that_an_apply_leaves_for_later_is_a_step() -> None:
    lines = "-D -t [fd00::1]:80\n-D -u 10.96.0.1:53\n-D --sctp-service 10.96.0.1:80\n"
    assert is_drains(
        {
            **KEPT,
            "steps": [
                ["address", "del fd00::1/128\ndel 10.96.0.9/24\n"],
                ["ipvsadm", lines],
                ["ipset", "destroy KUBE-LOOP-BACK\n"],
            ],
        }
    )
