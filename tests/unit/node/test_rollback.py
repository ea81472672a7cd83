"""Back to what was before, in the kernel and in the files: with a kernel that is a folder."""

from __future__ import annotations

import re
from pathlib import Path

import folder_backend
import pytest
from folder_backend import held, put_and_apply
from places import comes_true, journal, runs

from sluice.node import apply, files, pending, rollback, state
from sluice.node.origin import Origin
from sluice.system.tools import NodeError

pytestmark = pytest.mark.usefixtures("command")


def said(etc: Path) -> str:
    return (etc / folder_backend.FILE).read_text()


def test_the_generation_before_is_put_back(etc: Path) -> None:
    put_and_apply(etc, "web a\n")
    put_and_apply(etc, "web b\n")
    predicted = rollback.roll_back(str(etc), check=True)
    assert (held(), said(etc)) == ({"web": "b\n"}, "web b\n")
    assert rollback.roll_back(str(etc)) == predicted
    assert (held(), said(etc), state.active()) == ({"web": "a\n"}, "web a\n", 1)
    line = r"^there is no earlier generation to go back to: kept are 1, 2, in force is 1$"
    with pytest.raises(NodeError, match=line):
        rollback.roll_back(str(etc))


def test_a_node_that_has_kept_nothing(etc: Path) -> None:
    with pytest.raises(NodeError, match=r"^there is no earlier generation to go back to: none is kept$"):
        rollback.roll_back(str(etc))


def test_what_it_goes_back_to_is_said(etc: Path, node_root: Path) -> None:
    ops, alice = Origin("ansible", "ops", "lb1"), Origin("command", "alice", "sluice rollback")
    for text in ("web a\n", "web b\ndns b\n", "web c\n"):
        put_and_apply(etc, text, with_catalogue=True, origin=ops)
    predicted = rollback.roll_back(str(etc), check=True)
    assert state.in_force().generation == 3
    headline = r"back to generation 2 of 20..-..-.. ..:.. UTC \(by ops, ansible\): 2 Services"
    assert re.fullmatch(headline, predicted.headline)
    assert rollback.roll_back(str(etc), origin=alice) == predicted
    now = state.in_force()
    assert (now.generation, now.origin) == (2, Origin("rollback", "alice", "sluice rollback"))
    assert journal(node_root)[3:] == [
        "rollback by alice: generation 2: folder, 1 Service added, 1 changed, +2 -1 rules",
    ]


def test_to_a_generation_by_its_number(etc: Path, node_root: Path) -> None:
    for text in ("web a\n", "web b\n", "web c\n"):
        put_and_apply(etc, text)
    assert rollback.roll_back(str(etc), to=1, check=True).changed
    assert rollback.roll_back(str(etc), to=1).headline.startswith("back to generation 1 of 20")
    assert (held(), said(etc), state.active()) == ({"web": "a\n"}, "web a\n", 1)
    lines = journal(node_root)
    again = rollback.roll_back(str(etc), to=1)
    assert journal(node_root) == lines, "it is there already"
    assert (again.changed, again.headline[:20]) == (False, "back to generation 1")
    rollback.roll_back(str(etc), to=3)
    assert (held(), state.active()) == ({"web": "c\n"}, 3)
    for check in (True, False):
        with pytest.raises(NodeError, match=r"^there is no generation 4: kept are 1, 2, 3, in force is 3$"):
            rollback.roll_back(str(etc), to=4, check=check)
    assert state.error() is None, "the node does not suffer from it"


@pytest.mark.parametrize("before", ["catalogue", "removal"])
def test_it_does_not_end_without_services_by_the_way(etc: Path, before: str) -> None:
    if before == "removal":
        put_and_apply(etc, "web z\n", with_catalogue=True)
        apply.remove()
        files.put(str(etc), {})
    else:
        put_and_apply(etc, "", with_catalogue=True)
    number = state.active()
    put_and_apply(etc, "web a\n", with_catalogue=True)
    line = rf"^generation {number} has no Services: sluice rollback --to {number} goes there all the same$"
    for check in (True, False):
        with pytest.raises(NodeError, match=line):
            rollback.roll_back(str(etc), check=check)
    assert held() == {"web": "a\n"}
    done = rollback.roll_back(str(etc), to=number)
    assert done.headline.endswith(": nothing of Sluice" if before == "removal" else ": 0 Services")
    assert held() == {}


def test_to_a_generation_while_a_change_waits(etc: Path) -> None:
    """The node does not go back to what was before that change when its time is over."""
    put_and_apply(etc, "web a\n")
    put_and_apply(etc, "web b\n")
    put_and_apply(etc, "web c\n", confirm=3600)
    waiting = pending.waiting()
    assert waiting
    rollback.roll_back(str(etc), to=1)
    assert (held(), pending.exists(), state.active()) == ({"web": "a\n"}, False, 1)
    assert comes_true(lambda: not runs(int(waiting.timer.split()[0])))


def test_a_generation_that_was_edited_is_not_put_back(etc: Path) -> None:
    put_and_apply(etc, "web a\n")
    put_and_apply(etc, "web b\n")
    (Path(state.ROOT) / "generations" / "1" / folder_backend.FILE).write_text("web x\n")
    with pytest.raises(NodeError, match=r"^generation 1 is not what was kept: "):
        rollback.roll_back(str(etc))
    assert (held(), state.active()) == ({"web": "b\n"}, 2)


def test_what_fails_changes_no_files(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_and_apply(etc, "web a\n")
    put_and_apply(etc, "web b\n")

    before = state.in_force()

    def refused(*_given: object) -> None:
        raise NodeError("busy")

    monkeypatch.setattr(folder_backend.FolderLook, "send", refused)
    with pytest.raises(NodeError, match=r"^busy$"):
        rollback.roll_back(str(etc))
    assert (said(etc), state.active()) == ("web b\n", 2)
    assert state.in_force() == before
    found = state.error()
    assert found and found["message"] == "busy"


def test_a_change_that_waits_goes_first(etc: Path) -> None:
    put_and_apply(etc, "web a\n")
    put_and_apply(etc, "web b\n")
    put_and_apply(etc, "web c\n", confirm=3600)
    headline = "the change that waits for its confirmation is taken back: back to generation 2 of 20"
    predicted = rollback.roll_back(str(etc), check=True)
    assert (predicted.changed, predicted.headline[: len(headline)]) == (True, headline)
    assert rollback.roll_back(str(etc)) == predicted
    assert (held(), said(etc), pending.exists()) == ({"web": "b\n"}, "web b\n", False)
    rollback.roll_back(str(etc))
    assert held() == {"web": "a\n"}
