"""Back to what was before, in the kernel and in the files: with a kernel that is a folder."""

from __future__ import annotations

from pathlib import Path

import folder_backend
import pytest
from folder_backend import held, put_and_apply

from sluice.node import pending, rollback, state
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
    with pytest.raises(NodeError, match=r"^there is no earlier generation to go back to$"):
        rollback.roll_back(str(etc))


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

    def refused(*_given: object) -> None:
        raise NodeError("busy")

    monkeypatch.setattr(folder_backend.FolderLook, "send", refused)
    with pytest.raises(NodeError, match=r"^busy$"):
        rollback.roll_back(str(etc))
    assert (said(etc), state.active()) == ("web b\n", 2)


def test_a_change_that_waits_goes_first(etc: Path) -> None:
    put_and_apply(etc, "web a\n")
    put_and_apply(etc, "web b\n")
    put_and_apply(etc, "web c\n", confirm=3600)
    assert rollback.roll_back(str(etc), check=True).changed
    rollback.roll_back(str(etc))
    assert (held(), said(etc), pending.exists()) == ({"web": "b\n"}, "web b\n", False)
    rollback.roll_back(str(etc))
    assert held() == {"web": "a\n"}
