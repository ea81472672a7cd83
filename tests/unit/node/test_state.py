"""What a node keeps between runs comes back as it was, and is not relied on where it cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import folder_backend
import pytest

from sluice import seal
from sluice.backends.interface import Memory
from sluice.node import kept, state
from sluice.node.origin import Origin
from sluice.node.state import InForce, Last
from sluice.system.tools import NodeError

LAYER = folder_backend.BACKEND.layers[0]
OPS, ALICE = Origin("ansible", "ops", "lb1"), Origin("rollback", "alice", "sluice rollback")
ONE, TWO = {"settings.json": "{}", "a": "1\n"}, {"settings.json": "{}", "a": "2\n"}

pytestmark = pytest.mark.usefixtures("node_root")


def keep(files: dict[str, str], before: int = 0) -> int:
    number = state.prepare(files, state.digest(files), before, OPS)
    state.keep(number, OPS)
    return number


def generation(number: int) -> Path:
    return Path(state.ROOT) / "generations" / str(number)


def test_a_node_that_has_kept_nothing() -> None:
    assert state.last() == Last(0, {}, state.digest({}), {})
    assert (state.active(), state.previous(0), state.previous(1)) == (0, 0, 0)
    assert (state.note(), state.unfinished(), state.newest_whole()) == (None, False, None)
    assert (state.whole(1), state.contents(1)) == ({}, {})
    for forget in (state.forget_record, state.forget_note):
        forget()
    assert not os.path.exists(state.ROOT)


def test_a_digest_is_of_names_and_contents() -> None:
    assert state.digest({"a": "b", "c": "d"}) == state.digest({"c": "d", "a": "b"})
    others = [{"a": "b"}, {"a": "bc", "d": ""}, {"a": "b", "c": ""}, {"ab": ""}, {"a": "b 0\n"}, {}]
    assert len({state.digest(each) for each in others}) == len(others)
    known = {"a": hashlib.sha256(b"b").hexdigest()}
    assert state.digest({"a": "b", "c": "d"}, known) == state.digest({"a": "b", "c": "d"})


def test_a_digest_of_an_earlier_version() -> None:
    former = hashlib.sha256(b"a 1\nbc 1\nd").hexdigest()
    assert state.is_digest(former, {"a": "b", "c": "d"})
    assert state.is_digest(state.digest({"a": "b"}), {"a": "b"})
    assert not state.is_digest(former, {"a": "b", "c": "e"})


def test_generations_follow_one_another() -> None:
    one = keep(ONE)
    two = keep(TWO, one)
    assert (one, two, state.active(), state.previous(two), state.previous(one)) == (1, 2, 2, 1, 0)
    assert (state.contents(one), state.contents(two)) == (ONE, TWO)
    assert (state.whole(one), state.whole(3)) == (ONE, {})
    state.set_active(one, ALICE)
    assert (state.active(), keep(TWO, one)) == (1, 3)


UTC = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_when_and_by_whom() -> None:
    """Of each generation, and of what is in force, which a rollback makes another one."""
    one = keep(ONE)
    two = keep(TWO, one)
    found = state.generations()
    assert [(each.number, each.origin, each.previous) for each in found] == [(two, OPS, one), (one, OPS, 0)]
    assert all(re.fullmatch(UTC, each.time) for each in found)
    state.set_active(one, ALICE)
    now = state.in_force()
    assert (now.generation, now.origin) == (one, ALICE)
    assert re.fullmatch(UTC, now.time)
    before = InForce(two, "2026-11-28T10:12:00Z", OPS)
    state.set_in_force(before)
    assert state.in_force() == before
    state.set_active(0, OPS)
    assert (state.active(), state.generation(0)) == (0, None)


def test_generations_of_an_earlier_version() -> None:
    """They have no origin, and the node's own time; the one in force has neither."""
    folder = generation(keep(ONE))
    meta = {"previous": 0, "time": "2026-11-28T11:12:00+0100", "digest": state.digest(ONE)}
    for text in (json.dumps(meta), kept.text(meta)):
        (folder / "generation.json").write_text(text)
        (Path(state.ROOT) / "active").write_text(kept.text(1))
        assert (state.mend([]), state.whole(1)) == ([], ONE)
        assert state.generations() == [state.Generation(1, "2026-11-28T11:12:00+0100", None, 0)]
        assert state.in_force() == InForce(1, "2026-11-28T11:12:00+0100", None)
        state.set_in_force(state.in_force())
        assert state.in_force().generation == 1


def test_the_last_error() -> None:
    """Kept until an apply succeeds; what is no error of the node's is not."""
    assert state.error() is None
    for message in ("first", "a\nforged line" + "x" * 5000):
        with pytest.raises(NodeError), state.keeping_errors():
            raise NodeError(message)
    found = state.error()
    assert found and found["message"].startswith("a\\nforged line")
    assert len(found["message"]) <= 1000
    assert re.fullmatch(UTC, found["time"])
    with pytest.raises(KeyError), state.keeping_errors():
        raise KeyError("x")
    assert state.error() == found
    state.forget_error()
    assert state.error() is None


def test_an_error_that_cannot_be_kept_is_the_same_error(node_root: Path) -> None:
    Path(state.ROOT).parent.mkdir(parents=True)
    Path(state.ROOT).write_text("")
    with pytest.raises(NodeError, match=r"^busy$"), state.keeping_errors():
        raise NodeError("busy")


def test_only_the_last_few_are_kept() -> None:
    number = 0
    for _ in range(state.KEPT + 2):
        number = keep(ONE, number)
    kept = sorted(int(path.name) for path in generation(1).parent.iterdir())
    assert kept == list(range(number - state.KEPT + 1, number + 1))
    assert state.previous(kept[0]) == 0, "the one before is gone"


OTHER = kept.text({"generation": 1, "time": "", "origin": {"by": "nobody", "user": "", "detail": ""}})


@pytest.mark.parametrize(
    "text", [OTHER, "", "x\n", "-1\n", "2\n", "true", '{"value": 0}', '{"sha256": "", "value": 0}']
)
def test_an_active_generation_that_is_none(text: str) -> None:
    keep(ONE)
    (Path(state.ROOT) / "active").write_text(text)
    assert state.active() == 1, "the newest"


@pytest.mark.parametrize(("text", "number"), [("0\n", 0), ("1\n", 1)])
def test_an_active_generation_of_an_earlier_version(text: str, number: int) -> None:
    keep(ONE)
    (Path(state.ROOT) / "active").write_text(text)
    assert state.active() == number


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
    path.write_text(kept.text({**seal.fields(path.read_text()), **changes}))


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
    state.remember(LAYER, Memory(lasting={folder_backend.CLAIM: True, "another.json": 1}))
    assert state.memory(LAYER, {}) == Memory({}, {folder_backend.CLAIM: True})
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
    state.begin("first")
    assert state.unfinished()
    state.begin("second")
    state.finish("first")
    assert state.unfinished(), "the second one has begun meanwhile"
    state.finish("second")
    assert not state.unfinished()


def test_what_is_damaged_is_set_aside() -> None:
    recorded()
    state.set_note("because")
    with pytest.raises(NodeError), state.keeping_errors():
        raise NodeError("busy")
    state.remember(LAYER, Memory(lasting={folder_backend.CLAIM: True}))
    assert state.mend([LAYER]) == []
    names = ["record.json", "active", "rolled-back.json", "last-error.json", folder_backend.CLAIM, "generations/1"]
    root = Path(state.ROOT)
    for name in names:
        file = root / name / "generation.json" if name.startswith("gen") else root / name
        file.write_bytes(b"\xff" + file.read_bytes()[1:])
    assert state.memory(LAYER, {}) == Memory()
    assert state.mend([LAYER], check=True) == [
        f"{root}/{name} is damaged; the next apply sets it aside" for name in names
    ]
    lines = [f"{root}/{name} was damaged: it is set aside as {root}/{name}.damaged" for name in names]
    assert state.mend([LAYER]) == lines
    assert state.mend([LAYER]) == []
    assert all((root / f"{name}.damaged").exists() and not (root / name).exists() for name in names)
    recorded()
    (root / "record.json").write_text("")
    assert len(state.mend([LAYER])) == 1, "the one of before makes room"


def test_every_byte_counts() -> None:
    """A record with any byte changed is none, or says the same."""
    recorded()
    path = Path(state.ROOT) / "record.json"
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert state.last().records in ({}, RECORDS)
        assert state.mend([]) or state.last().records == RECORDS, place
        path.write_bytes(data)


def test_others_may_not_write_here() -> None:
    keep(ONE)
    for folder in (state.ROOT, f"{state.ROOT}/generations"):
        os.chmod(folder, 0o777)
    state.protect()
    for folder in (state.ROOT, f"{state.ROOT}/generations"):
        assert os.stat(folder).st_mode & 0o777 == 0o755


def test_with_a_careless_umask() -> None:
    before = os.umask(0)
    try:
        recorded()
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o022 for path in Path(state.ROOT).rglob("*")}
    assert set(modes.values()) == {0}


def test_note_of_a_rollback() -> None:
    state.set_note("because")
    found = state.note()
    assert found and found["reason"] == "because"
    assert re.fullmatch(UTC, found["time"])
    state.forget_note()
    assert state.note() is None
