"""A change that waits is confirmed in time, or taken back until that is done: with a kernel that is a folder."""

from __future__ import annotations

from pathlib import Path

import folder_backend
import pytest
from folder_backend import contents, held, put_and_apply
from places import comes_true, journal, runs

from sluice.node import confirmation, pending, rivals, state
from sluice.node.origin import Origin
from sluice.system import linux, owned_files
from sluice.system.tools import NodeError

pytestmark = pytest.mark.usefixtures("command")


@pytest.fixture
def waits(etc: Path) -> pending.Pending:
    """A change from ``web a`` to ``web b`` that waits."""
    put_and_apply(etc, "web a\n")
    put_and_apply(etc, "web b\n", confirm=3600)
    found = pending.waiting()
    assert found
    return found


def said(etc: Path) -> str:
    return (etc / folder_backend.FILE).read_text()


@pytest.mark.usefixtures("folder")
def test_nothing_waits() -> None:
    assert confirmation.confirm() is False
    assert not confirmation.take_back().changed


def test_a_change_is_confirmed(waits: pending.Pending, command: Path, node_root: Path) -> None:
    state.set_note("an earlier one was taken back")
    assert confirmation.confirm(Origin("ansible", "ops", "lb1")) is True
    assert journal(node_root)[1:] == [
        "apply by command: generation 2: folder, +1 -1 rules, to be confirmed",
        "confirm by ops (ansible): generation 2",
    ]
    assert not pending.exists()
    assert state.note() is None
    assert comes_true(lambda: not runs(int(waits.timer.split()[0])))
    assert confirmation.confirm() is False
    assert not command.exists()
    assert len(journal(node_root)) == 3, "nothing was confirmed the second time"


@pytest.mark.usefixtures("folder")
def test_a_change_that_was_taken_back_cannot_be_confirmed() -> None:
    state.set_note("it was not confirmed in time")
    with pytest.raises(NodeError, match=r"^the change was taken back at 20.*: it was not confirmed in time$"):
        confirmation.confirm()


def test_nor_one_whose_time_is_over(waits: pending.Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where nothing has taken it back yet: it is going to be."""
    monkeypatch.setattr(linux, "uptime", lambda: waits.until)
    with pytest.raises(NodeError, match=rf"^too late: the change had to be confirmed by {waits.time}, and is taken"):
        confirmation.confirm()
    assert pending.exists()


def test_nor_one_that_is_damaged(waits: pending.Pending) -> None:
    (Path(state.ROOT) / "pending" / "generation.json").write_text("{")
    with pytest.raises(NodeError, match=r"pending was damaged: it is set aside .*; the change .* stays$"):
        confirmation.confirm()
    assert confirmation.confirm() is False


def test_what_cannot_be_confirmed_still_waits(waits: pending.Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system", "here")

    monkeypatch.setattr(pending, "forget", refused)
    with pytest.raises(OSError):
        confirmation.confirm()
    assert runs(int(waits.timer.split()[0]))


def test_an_unconfirmed_change_is_taken_back(etc: Path, waits: pending.Pending) -> None:
    assert confirmation.take_back(str(etc), check=True).changed
    assert held() == {"web": "b\n"}
    confirmation.take_back(str(etc))
    assert (held(), said(etc), state.active(), pending.exists()) == ({"web": "a\n"}, "web a\n", 1, False)
    note = state.note()
    assert note and note["reason"] == "somebody took it back before it was confirmed"
    assert comes_true(lambda: not runs(int(waits.timer.split()[0])))
    assert not confirmation.take_back(str(etc)).changed, "nothing waits"


def test_it_is_taken_back_whoever_runs(etc: Path, waits: pending.Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kube-proxy that somebody has started meanwhile keeps no node cut off."""
    monkeypatch.setattr(rivals, "running", lambda *, by_port: ["kube-proxy (pid 7) programs Services"])
    assert confirmation.take_back(str(etc)).changed
    assert (held(), said(etc)) == ({"web": "a\n"}, "web a\n")


def test_who_took_it_back(etc: Path, waits: pending.Pending, node_root: Path) -> None:
    """By hand, or the node itself; never by who only asks."""
    confirmation.take_back(str(etc), check=True)
    confirmation.take_back(str(etc), origin=Origin("command", "alice", "sluice rollback"))
    assert state.in_force().origin == Origin("rollback", "alice", "sluice rollback")
    put_and_apply(etc, "web b\n", confirm=3600)
    again = pending.waiting()
    assert again
    confirmation.take_back(str(etc), change=again.change, origin=Origin("command", "root"))
    assert state.in_force().origin == Origin("timer")
    lines = [line for line in journal(node_root) if line.startswith("rollback")]
    assert lines == [f"rollback by {who}: generation 1: folder, +1 -1 rules" for who in ("alice", "timer")]


def test_only_the_change_that_is_named(etc: Path, waits: pending.Pending) -> None:
    assert not confirmation.take_back(str(etc), change="another").changed
    assert (held(), pending.exists(), state.note()) == ({"web": "b\n"}, True, None)
    assert confirmation.take_back(str(etc), change=waits.change).changed
    assert held() == {"web": "a\n"}
    note = state.note()
    assert note and note["reason"] == "it was not confirmed in time"


def test_the_first_change_leaves_nothing(etc: Path) -> None:
    put_and_apply(etc, "web a\n", confirm=3600)
    confirmation.take_back(str(etc))
    assert (held(), list(etc.iterdir())) == ({}, [])


def test_after_a_reboot_the_files_count(etc: Path, waits: pending.Pending) -> None:
    """What strangers had in the kernel went with it."""
    pending.keep(waits._replace(place="another boot", contents=contents("strange x\n")))
    confirmation.take_back(str(etc))
    assert (held(), said(etc)) == ({"web": "a\n"}, "web a\n")


def test_the_note_says_what_has_happened(etc: Path, waits: pending.Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what was tried. What failed is tried again."""

    def refused(*_given: object) -> None:
        raise NodeError("busy")

    with monkeypatch.context() as patched:
        patched.setattr(folder_backend.FolderLook, "send", refused)
        with pytest.raises(NodeError, match=r"^busy$"):
            confirmation.take_back(str(etc), change=waits.change)
    assert (held(), state.note(), pending.exists()) == ({"web": "b\n"}, None, True)
    with monkeypatch.context() as patched:
        patched.setattr(pending, "forget", lambda: owned_files.write({"/proc/nothing": ""}))
        with pytest.raises(confirmation.NotWrittenDownError, match=r"are back, but /proc"):
            confirmation.take_back(str(etc), change=waits.change)
    assert (held(), said(etc), pending.exists()) == ({"web": "a\n"}, "web a\n", True)
    confirmation.take_back(str(etc), change=waits.change)
    assert (held(), pending.exists()) == ({"web": "a\n"}, False)
    assert state.note()


def test_what_was_before_is_damaged(etc: Path, waits: pending.Pending) -> None:
    """The generation has it as well."""
    (Path(state.ROOT) / "pending" / folder_backend.FILE).write_text("")
    assert [line.rpartition(": ")[2] for line in confirmation.take_back(str(etc)).warnings] == [
        "generation 1 is put back"
    ]
    assert (held(), said(etc)) == ({"web": "a\n"}, "web a\n")
    put_and_apply(etc, "web b\n", confirm=3600)
    for place in ("pending", "generations/1"):
        (Path(state.ROOT) / place / folder_backend.FILE).write_text("")
    result = confirmation.take_back(str(etc))
    assert [line.rpartition("; ")[2] for line in result.warnings] == [
        "the change that waited there for its confirmation stays"
    ]
    assert held() == {"web": "b\n"}
