"""A change waits for its confirmation, or is not made at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import comes_true, runs

from sluice.node import confirmation, state, timer
from sluice.system import linux
from sluice.system.tools import NodeError

pytestmark = pytest.mark.usefixtures("node_root")
BEFORE, LATER = {"settings.json": "{}", "a": "1"}, {"settings.json": "{}", "a": "2"}


def pid(armed: str) -> int:
    return int(armed.split()[0])


def waiting() -> state.Pending:
    found = state.pending()
    assert found
    return found


def test_nothing_waits() -> None:
    assert confirmation.confirm() is False


def test_a_change_is_confirmed(command: Path) -> None:
    confirmation.arm(BEFORE, 7, 3600)
    found = waiting()
    assert (found.contents, found.generation, found.place) == (BEFORE, 7, linux.place())
    assert runs(pid(found.timer))
    state.set_note("an earlier one was taken back")
    assert confirmation.confirm() is True
    assert not state.waits()
    assert state.note() is None
    assert confirmation.confirm() is False
    assert not command.exists()


def test_a_change_that_was_taken_back_cannot_be_confirmed() -> None:
    state.set_note("it was not confirmed in time")
    with pytest.raises(NodeError, match=r"^the change was taken back at 20.*: it was not confirmed in time$"):
        confirmation.confirm()


@pytest.mark.usefixtures("command")
def test_two_changes_are_taken_back_together() -> None:
    confirmation.arm(BEFORE, 7, 3600)
    first = waiting()
    confirmation.arm(LATER, 8, 3600)
    second = waiting()
    assert (second.contents, second.generation) == (BEFORE, 7)
    assert second.change != first.change
    assert comes_true(lambda: not runs(pid(first.timer)))
    assert runs(pid(second.timer))


def test_without_the_command_no_change_is_made() -> None:
    with pytest.raises(NodeError, match=r"is not installed: nothing could take an unconfirmed change back$"):
        confirmation.arm(BEFORE, 7, 3600)
    assert not state.waits()


@pytest.mark.usefixtures("command")
def test_what_cannot_be_written_down_does_not_wait(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (node_root / "file").write_text("")
    monkeypatch.setattr(state, "_PENDING", f"{node_root}/file/pending")
    armed: list[str] = []
    arm = timer.arm
    monkeypatch.setattr(timer, "arm", lambda *given: armed.append(arm(*given)) or armed[-1])
    with pytest.raises(NodeError, match=r"Not a directory: nothing was changed$"):
        confirmation.arm(BEFORE, 7, 3600)
    assert not state.waits()
    assert comes_true(lambda: not runs(pid(armed[0])))
