"""What a node keeps between runs comes back as it was, and is not relied on where it cannot be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import folder_backend
import pytest

from sluice.backends.interface import Memory
from sluice.node import state
from sluice.node.state import Last, Pending

LAYER = folder_backend.BACKEND.layers[0]
ONE, TWO = {"settings.json": "{}", "a": "1\n"}, {"settings.json": "{}", "a": "2\n"}
PENDING = Pending(ONE, 3, "change", 1.5, "7 8", "boot net")

pytestmark = pytest.mark.usefixtures("node_root")


def keep(files: dict[str, str], before: int = 0) -> int:
    number = state.prepare(files, state.digest(files), before)
    state.keep(number)
    return number


def generation(number: int) -> Path:
    return Path(state.ROOT) / "generations" / str(number)


def test_a_node_that_has_kept_nothing() -> None:
    assert state.last() == Last(0, {}, state.digest({}), {})
    assert (state.active(), state.previous(0), state.previous(1)) == (0, 0, 0)
    assert (state.pending(), state.note(), state.waits(), state.unfinished()) == (None, None, False, False)
    assert not state.intact(1, {})
    for forget in (state.forget_record, state.forget_pending, state.forget_note, state.finish):
        forget()
    assert not os.path.exists(state.ROOT)


def test_a_digest_is_of_names_and_contents() -> None:
    assert state.digest({"a": "b", "c": "d"}) == state.digest({"c": "d", "a": "b"})
    others = [{"a": "b"}, {"a": "bc", "d": ""}, {"a": "b", "c": ""}, {"ab": ""}, {"a": "b 0\n"}, {}]
    assert len({state.digest(each) for each in others}) == len(others)


def test_generations_follow_one_another() -> None:
    one = keep(ONE)
    two = keep(TWO, one)
    assert (one, two, state.active(), state.previous(two), state.previous(one)) == (1, 2, 2, 1, 0)
    assert (state.contents(one), state.contents(two)) == (ONE, TWO)
    assert state.intact(one, ONE)
    assert not state.intact(one, TWO)
    state.set_active(one)
    assert (state.active(), keep(TWO, one)) == (1, 3)


def test_only_the_last_few_are_kept() -> None:
    number = 0
    for _ in range(state.KEPT + 2):
        number = keep(ONE, number)
    kept = sorted(int(path.name) for path in generation(1).parent.iterdir())
    assert kept == list(range(number - state.KEPT + 1, number + 1))
    assert state.previous(kept[0]) == 0, "the one before is gone"


@pytest.mark.parametrize("text", ["", "x\n", "-1\n", "2\n"])
def test_an_active_generation_that_is_none(text: str) -> None:
    keep(ONE)
    (Path(state.ROOT) / "active").write_text(text)
    assert state.active() == 0


def test_half_a_generation_is_no_generation() -> None:
    """A folder takes its place whole; what a kill has left beside it is in nobody's way."""
    (generation(1).parent / "1.new").mkdir(parents=True)
    (generation(1).parent / "1.new" / "rest").write_text("")
    assert state.active() == 0
    assert keep(ONE) == 1
    assert os.listdir(generation(1).parent) == ["1"]
    assert state.contents(1) == ONE


RECORDS = {"iptables": {"nft": 7}}


def recorded() -> None:
    keep(ONE)
    state.set_record(1, state.digest(ONE), RECORDS)


def test_a_record_is_relied_on() -> None:
    recorded()
    assert state.last() == Last(1, ONE, state.digest(ONE), RECORDS)
    state.forget_record()
    assert state.last() == Last(1, ONE, state.digest(ONE), {}), "the generation in force"


def edit_record(**changes: Any) -> None:
    path = Path(state.ROOT) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_record_of_another_boot_is_not() -> None:
    recorded()
    edit_record(place="another boot")
    assert state.last() == Last(1, ONE, state.digest(ONE), {})


def test_a_record_of_files_that_were_edited_is_not() -> None:
    recorded()
    (generation(1) / "a").write_text("3\n")
    assert state.last() == Last(1, {}, state.digest({}), {})


@pytest.mark.parametrize("text", ["{", "{}", "[]", "3", '{"generation": 1, "layers": {}}'])
def test_a_record_that_is_none(text: str) -> None:
    recorded()
    (Path(state.ROOT) / "record.json").write_text(text)
    assert state.last() == Last(1, ONE, state.digest(ONE), {})


def test_layers_remember() -> None:
    last = Last(1, ONE, state.digest(ONE), {LAYER.name: {"count": 7}})
    assert state.memory(LAYER, last.records) == Memory({"count": 7}, {})
    state.remember(LAYER, Memory(lasting={folder_backend.CLAIM: ["a"], "another.json": 1}))
    assert state.memory(LAYER, {}) == Memory({}, {folder_backend.CLAIM: ["a"]})
    assert os.listdir(state.ROOT) == [folder_backend.CLAIM], "a layer has its own files only"
    state.remember(LAYER, Memory())
    assert os.listdir(state.ROOT) == []


def test_layers_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    state.remember(LAYER, Memory(lasting={folder_backend.CLAIM: True}))
    assert state.waiting([LAYER]) == []
    monkeypatch.setattr(folder_backend.FolderLayer, "waiting", folder_backend.CLAIM)
    assert state.waiting([LAYER]) == [f"{state.ROOT}/{folder_backend.CLAIM}"]
    state.remember(LAYER, Memory())
    assert state.waiting([LAYER]) == []


def test_an_apply_that_does_not_end() -> None:
    state.begin()
    assert state.unfinished()
    state.finish()
    assert not state.unfinished()


def test_a_change_that_waits() -> None:
    state.set_pending(PENDING)
    assert state.waits()
    assert state.pending() == PENDING
    state.set_pending(PENDING._replace(contents={"b": ""}))
    assert state.pending() == PENDING._replace(contents={"b": ""})
    state.forget_pending()
    assert (state.waits(), state.pending(), os.listdir(state.ROOT)) == (False, None, [])


def test_half_of_a_change_does_not_wait() -> None:
    state.set_pending(PENDING)
    (Path(state.ROOT) / "pending" / "generation.json").unlink()
    assert (state.waits(), state.pending()) == (False, None)


def test_note_of_a_rollback() -> None:
    state.set_note("because")
    found = state.note()
    assert found and found["reason"] == "because"
    assert found["time"].startswith("20")
    state.forget_note()
    assert state.note() is None
