"""A node is healthy but for an apply that failed, a change that was taken back, or somebody who drains it."""

from __future__ import annotations

from pathlib import Path

import folder_backend
import pytest

from sluice.node import condition, outage, state
from sluice.node.answers import Health
from sluice.node.condition import Condition
from sluice.system.tools import NodeError


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, node_root: Path) -> Condition:
    monkeypatch.setattr(condition, "AGE", 0)
    return Condition()


def test_a_node_on_which_nothing_was_applied_yet(seen: Condition) -> None:
    assert seen() == Health(True, True, 0)


def test_an_apply_that_fails_counts_until_one_goes_well(seen: Condition) -> None:
    with pytest.raises(NodeError), state.keeping_errors():
        raise NodeError("no room")
    assert not seen().healthy
    state.forget_error()
    assert seen().healthy


def test_a_rollback_counts_until_a_change_is_confirmed(seen: Condition) -> None:
    state.set_note("nobody confirmed it")
    assert not seen().healthy
    state.forget_note()
    assert seen().healthy


def test_when_it_was_brought_to_what_is_in_force(seen: Condition, etc: Path, folder: Path) -> None:
    folder_backend.put_and_apply(etc, "web a\n")
    made = state.in_force()._replace(time="2026-11-29T13:29:03Z")
    state.set_in_force(made)
    assert seen().updated == 1795958943
    state.set_in_force(made._replace(time="yesterday"))
    assert seen() == Health(True, True, 0)


def test_a_drained_node_is_well_and_not_eligible(seen: Condition) -> None:
    outage.set_node_drained(drained=True)
    assert seen() == Health(True, False, 0)


def test_who_asks_often_makes_no_work(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(condition, "AGE", 3600)
    seen = Condition()
    assert seen().healthy
    state.set_note("nobody confirmed it")
    assert seen().healthy
    outage.set_node_drained(drained=True)
    assert seen().eligible
