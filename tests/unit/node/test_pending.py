"""A change waits for its confirmation as it was written down, or it is not made at all."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from places import comes_true, runs

from sluice import seal
from sluice.node import pending, state, timer
from sluice.node.origin import SOMEBODY
from sluice.node.pending import Pending
from sluice.system import linux
from sluice.system.tools import NodeError

pytestmark = pytest.mark.usefixtures("node_root")
BEFORE, LATER = {"settings.json": "{}", "a": "1\r\n"}, {"settings.json": "{}", "a": "2"}
CHANGE = Pending(BEFORE, 3, "change", 1.5, "7 8", "boot net", 7.25, "boot")


def pid(armed: str) -> int:
    return int(armed.split()[0])


def waiting() -> Pending:
    found = pending.waiting()
    assert found
    return found


def folder() -> Path:
    return Path(state.ROOT) / "pending"


def test_nothing_waits() -> None:
    assert (pending.waiting(), pending.exists(), pending.mend()) == (None, False, [])
    pending.forget()


def test_what_waits_is_written_down() -> None:
    pending.keep(CHANGE)
    assert (pending.exists(), pending.waiting()) == (True, CHANGE)
    pending.keep(CHANGE._replace(contents=LATER))
    assert pending.waiting() == CHANGE._replace(contents=LATER)
    pending.forget()
    assert (pending.exists(), list(Path(state.ROOT).iterdir())) == (False, [])


def test_half_of_a_change_does_not_wait() -> None:
    pending.keep(CHANGE)
    (folder() / "generation.json").unlink()
    assert (pending.exists(), pending.waiting(), pending.mend()) == (False, None, [])


def test_what_an_earlier_version_wrote() -> None:
    """Neither a seal nor the uptime."""
    pending.keep(CHANGE)
    place = f"{linux.boot()} 4026531840"
    meta = {"generation": 3, "change": "change", "deadline": time.time() + 60, "timer": "7 8", "place": place}
    (folder() / "generation.json").write_text(json.dumps(meta))
    found = waiting()
    assert (found.contents, found.change, found.overdue) == (BEFORE, "change", False)
    (folder() / "generation.json").write_text(json.dumps({**meta, "deadline": time.time()}))
    assert waiting().overdue


@pytest.mark.parametrize(("until", "boot", "overdue"), [(-1, "", True), (60, "", False), (60, "another", True)])
def test_until_when(until: int, boot: str, overdue: bool) -> None:
    """By a clock that nobody sets; a node that went down meanwhile has not been reached."""
    change = CHANGE._replace(until=linux.uptime() + until, boot=boot or linux.boot())
    assert change.overdue is overdue
    assert CHANGE._replace(deadline=time.mktime((2026, 11, 28, 7, 5, 9, 0, 0, -1))).time == "07:05:09"


@pytest.mark.parametrize("name", ["generation.json", "settings.json", "a"])
def test_every_byte_counts(name: str) -> None:
    """What is damaged does not wait, and is set aside with a line that says what becomes of the change."""
    for byte in range((len(BEFORE.get(name, "")) or 200) - 1):
        pending.keep(CHANGE)
        path = folder() / name
        data = path.read_bytes()
        path.write_bytes(data[:byte] + bytes([data[byte] ^ 0x80]) + data[byte + 1 :])
        assert pending.waiting() is None, byte
        assert pending.mend(check=True) == [f"{folder()} is damaged; the next apply sets it aside" + STAYS]
        assert pending.mend() == [f"{folder()} was damaged: it is set aside as {folder()}.damaged" + STAYS]
        assert (pending.exists(), pending.mend()) == (False, [])


STAYS = "; the change that waited there for its confirmation stays"


def test_the_generation_before_is_as_good_as_what_is_damaged() -> None:
    number = state.prepare(BEFORE, state.digest(BEFORE), 0, SOMEBODY)
    state.keep(number, SOMEBODY)
    pending.keep(CHANGE._replace(generation=number))
    (folder() / "a").write_text("")
    assert (waiting().contents, pending.mend()) == ({}, [])


def test_a_change_is_armed(command: Path) -> None:
    pending.arm(BEFORE, 7, 3600)
    found = waiting()
    assert (found.contents, found.generation, found.place) == (BEFORE, 7, linux.place())
    assert not found.overdue
    assert runs(pid(found.timer))
    assert seal.fields((folder() / "generation.json").read_text())["deadline"] > time.time()
    assert not command.exists()


@pytest.mark.usefixtures("command")
def test_two_changes_are_taken_back_together() -> None:
    pending.arm(BEFORE, 7, 3600)
    first = waiting()
    pending.arm(LATER, 8, 3600)
    second = waiting()
    assert (second.contents, second.generation) == (BEFORE, 7)
    assert second.change != first.change
    assert comes_true(lambda: not runs(pid(first.timer)))
    assert runs(pid(second.timer))


def test_without_the_command_no_change_is_made() -> None:
    with pytest.raises(NodeError, match="is not installed, so nothing could take an unconfirmed change back"):
        pending.arm(BEFORE, 7, 3600)
    assert not pending.exists()


@pytest.mark.usefixtures("command")
def test_what_cannot_be_written_down_does_not_wait(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (node_root / "file").write_text("")
    monkeypatch.setattr(pending, "_FOLDER", f"{node_root}/file/pending")
    armed: list[str] = []
    arm = timer.arm
    monkeypatch.setattr(timer, "arm", lambda *given: armed.append(arm(*given)) or armed[-1])
    with pytest.raises(NodeError, match=r"/file: File exists: nothing was changed$"):
        pending.arm(BEFORE, 7, 3600)
    assert not pending.exists()
    assert comes_true(lambda: not runs(pid(armed[0])))
