"""What is asked of a node, by whom and at what time: with a kernel that is a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import folder_backend
import pytest
from folder_backend import put_and_apply
from places import journal

from sluice.node import apply, confirmation, files, pending, state
from sluice.node.origin import Origin
from sluice.node.result import Result
from sluice.system import linux
from sluice.system.tools import NodeError

SETTINGS = json.dumps({"backend": "folder"})


def wanted(text: str, settings: str = SETTINGS) -> files.Wanted:
    return files.parse(contents(text, settings))


def contents(text: str, settings: str = SETTINGS) -> dict[str, str]:
    return files.sealed({"settings.json": settings, folder_backend.FILE: text})


def held(kernel: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in kernel.glob("*")}


def test_check_says_what_an_apply_does(folder: Path) -> None:
    predicted = apply.apply(lambda: wanted("web a b\n"), check=True)
    assert (held(folder), state.active()) == ({}, 0)
    assert apply.apply(lambda: wanted("web a b\n")) == predicted
    assert held(folder) == {"web": "a\nb\n"}
    assert predicted.diff() == ["add folder web", "  + a", "  + b"]


OPS = Origin("ansible", "ops", "lb1")


def test_a_line_in_the_journal_for_each_change(folder: Path, etc: Path, node_root: Path) -> None:
    """Who, which generation, what is different by Service; nothing where nothing changed, and of no prediction."""
    put_and_apply(etc, "web a\n", with_catalogue=True, origin=OPS)
    put_and_apply(etc, "web a\n", with_catalogue=True, origin=OPS)
    files.put(str(etc), folder_backend.contents("web b\ndns a\n", folder_backend.catalogue("web b\ndns a\n")))
    apply.apply(lambda: files.load(str(etc)), check=True, origin=OPS)
    assert journal(node_root) == ["apply by ops (ansible): generation 1: folder, 1 Service, +1 -0 rules"]
    apply.apply(lambda: files.load(str(etc)), origin=OPS)
    (folder / "web").write_text("x\n")
    apply.apply(lambda: files.load(str(etc)), origin=Origin("repair"))
    (folder / "web").unlink()
    apply.boot(str(etc))
    apply.boot(str(etc))
    apply.remove(origin=Origin("command", "alice"))
    assert journal(node_root)[1:] == [
        "apply by ops (ansible): generation 2: folder, 1 Service added, 1 changed, +2 -1 rules",
        "apply by repair: generation 2: folder, the same Services, +1 -1 rules",
        "apply by boot: generation 2: folder, the same Services, +1 -0 rules",
        "apply by alice (command): generation 3: nothing of Sluice, +0 -2 rules",
    ]


def test_a_generation_that_changes_no_rule_has_its_line(folder: Path, node_root: Path) -> None:
    for seconds in (30, 30, 60):
        settings = json.dumps({"backend": "folder", "confirm_timeout": seconds})
        apply.apply(lambda settings=settings: wanted("web a\n", settings), origin=OPS)
    assert journal(node_root)[1:] == ["apply by ops (ansible): generation 2: folder, +0 -0 rules"]


def test_who_brought_the_node_to_what_it_is(folder: Path, etc: Path) -> None:
    """Also where the generation stays: the node itself may have done it since."""
    put_and_apply(etc, "web a\n", origin=OPS)
    assert state.in_force().origin == OPS
    put_and_apply(etc, "web a\n", origin=Origin("command", "alice"))
    assert state.in_force().origin == OPS, "nothing was changed"
    (folder / "web").unlink()
    apply.boot(str(etc))
    now, made = state.in_force(), state.generation(1)
    assert made and (now.generation, now.origin, made.origin) == (1, Origin("boot"), OPS)


def test_the_last_error_is_kept_until_an_apply_succeeds(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_and_apply(etc, "web a\n")
    (etc / folder_backend.FILE).write_text("")
    for failing in (lambda: apply.apply(lambda: files.load(str(etc)), directory=str(etc)), lambda: put_refused(etc)):
        with monkeypatch.context() as patched, pytest.raises(NodeError):
            patched.setattr(folder_backend.FolderLook, "send", refused)
            failing()
        error = state.error()
        assert error and error["message"] in (
            f"{etc}/{folder_backend.FILE} is empty: --force takes the files as they are",
            "busy",
        )
    with pytest.raises(NodeError):
        apply.apply(lambda: files.load("/nowhere"), check=True)
    assert state.error() == error, "a prediction is no apply"
    put_and_apply(etc, "web a\n")
    assert state.error() is None


def refused(*_given: object) -> None:
    raise NodeError("busy")


def put_refused(etc: Path) -> None:
    put_and_apply(etc, "web b\n")


def test_a_second_one_has_nothing_to_do(folder: Path) -> None:
    apply.apply(lambda: wanted("web a\n"))
    kept = {path: path.stat().st_mtime_ns for path in Path(state.ROOT).rglob("*")}
    assert not apply.apply(lambda: wanted("web a\n")).changed
    assert {path: path.stat().st_mtime_ns for path in Path(state.ROOT).rglob("*")} == kept


def test_each_change_is_a_generation(folder: Path) -> None:
    apply.apply(lambda: wanted("web a\n"))
    apply.apply(lambda: wanted("web b\n"))
    assert (state.active(), state.previous(2)) == (2, 1)
    assert state.contents(1)[folder_backend.FILE] == "web a\n"
    apply.apply(lambda: wanted("web b\n", json.dumps({"backend": "folder", "confirm_timeout": 1})))
    assert state.active() == 3, "files that change no rule are to be rolled back to as well"


def test_removal(folder: Path) -> None:
    apply.apply(lambda: wanted("web a\n"))
    assert [change.verb for change in apply.remove(check=True).changes] == ["remove"]
    assert held(folder) == {"web": "a\n"}
    apply.remove()
    assert held(folder) == {}
    assert not apply.remove().changed


def test_a_removal_leaves_nothing_behind_where_there_was_nothing(folder: Path) -> None:
    assert not apply.remove().changed
    assert os.listdir(state.ROOT) == []


def apply_files(etc: Path, text: str, confirm: int = 0) -> None:
    files.put(str(etc), contents(text))
    apply.apply(lambda: files.load(str(etc)), confirm=confirm, directory=str(etc))


def over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the change that waits is over."""
    monkeypatch.setattr(linux, "uptime", lambda: 1e12)


@pytest.mark.usefixtures("command")
def test_a_change_whose_time_is_over_goes_first(folder: Path, etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever became of its timer. What is applied then is read after that."""
    apply_files(etc, "web a\n")
    apply_files(etc, "web b\n", confirm=3600)
    over(monkeypatch)
    result = apply.apply(lambda: files.load(str(etc)), directory=str(etc))
    assert (result.changed, held(folder), pending.waiting()) == (False, {"web": "a\n"}, None)
    assert result.warnings == ("a change before this one was not confirmed in time: it was taken back first",)
    assert state.note()


@pytest.mark.usefixtures("command")
def test_the_clock_may_be_set(folder: Path, etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply_files(etc, "web a\n")
    apply_files(etc, "web b\n", confirm=3600)
    monkeypatch.setattr("time.time", lambda: 1e12)
    assert not apply.apply(lambda: files.load(str(etc)), directory=str(etc)).warnings
    assert held(folder) == {"web": "b\n"}


def test_boot(folder: Path, etc: Path) -> None:
    assert apply.boot(str(etc)) == Result(), "there is nothing"
    files.put(str(etc), contents("web a\n"))
    assert apply.boot(str(etc)).changed
    assert held(folder) == {"web": "a\n"}


def test_boot_with_files_that_are_not_whole(folder: Path, etc: Path) -> None:
    apply_files(etc, "web a\n")
    apply_files(etc, "web b\n")
    (folder / "web").unlink()
    (etc / folder_backend.FILE).write_text("")
    result = apply.boot(str(etc))
    assert held(folder) == {"web": "b\n"}
    assert result.warnings == (
        f"{etc}/{folder_backend.FILE} is empty: --force takes the files as they are; generation 2 is applied instead",
    )
    (Path(state.ROOT) / "generations/2" / folder_backend.FILE).write_text("")
    assert apply.boot(str(etc)).warnings[0].endswith("; generation 1 is applied instead")
    assert held(folder) == {"web": "a\n"}


def test_boot_without_anything_that_is_whole(etc: Path) -> None:
    files.put(str(etc), {**contents("web a\n"), folder_backend.FILE: ""})
    with pytest.raises(NodeError, match=r"folder.conf is empty"):
        apply.boot(str(etc))


@pytest.mark.usefixtures("command")
def test_boot_with_a_change_that_waited(folder: Path, etc: Path) -> None:
    apply_files(etc, "web a\n")
    apply_files(etc, "web b\n", confirm=3600)
    assert not apply.boot(str(etc)).warnings
    assert (held(folder), (etc / folder_backend.FILE).read_text()) == ({"web": "a\n"}, "web a\n")


@pytest.mark.usefixtures("command")
def test_boot_where_what_was_taken_back_cannot_be_written(
    folder: Path, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files still say what nobody has confirmed: they are not applied."""
    apply_files(etc, "web a\n")
    apply_files(etc, "web b\n", confirm=3600)

    def refused(directory: str, _contents: object) -> None:
        raise OSError(30, "Read-only file system", directory)

    monkeypatch.setattr(files, "put", refused)
    assert [line.rpartition(": ")[2] for line in apply.boot(str(etc)).warnings] == ["Read-only file system"]
    assert held(folder) == {"web": "a\n"}
    assert pending.waiting(), "it is tried again"
    assert state.note() is None


@pytest.mark.usefixtures("command")
def test_what_becomes_of_a_change_that_waits_is_said(etc: Path) -> None:
    apply_files(etc, "web a\n")
    apply_files(etc, "web b\n", confirm=3600)
    apply_files(etc, "web b\n")
    files.put(str(etc), contents("web c\n"))
    result = apply.apply(lambda: files.load(str(etc)), directory=str(etc))
    waiting = pending.waiting()
    assert waiting and waiting.contents == contents("web a\n")
    assert [line[:52] for line in result.warnings] == ["a change before this one waits for its confirmation "]
    assert waiting.time in result.warnings[0]
    assert not apply.apply(lambda: files.load(str(etc))).warnings, "nothing was changed that could be taken back"


@pytest.mark.usefixtures("command")
def test_what_is_removed_does_not_come_back(folder: Path, etc: Path) -> None:
    apply_files(etc, "web a\n")
    apply_files(etc, "web b\n", confirm=3600)
    apply.remove(check=True)
    assert pending.exists()
    assert len(apply.remove().changes) == 1
    assert (held(folder), pending.exists()) == ({}, False)


@pytest.mark.usefixtures("command")
def test_boot_where_a_change_cannot_be_taken_back(folder: Path, etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that nobody has confirmed are better than none; every other apply is refused until it is done."""
    apply_files(etc, "web a\n")
    apply_files(etc, "web b\n", confirm=3600)
    (folder / "web").unlink()
    over(monkeypatch)

    def refused(_waiting: object) -> None:
        raise NodeError("busy")

    monkeypatch.setattr(confirmation, "_before", refused)
    assert apply.boot(str(etc)).warnings == ("a change that waited for its confirmation stays: busy",)
    assert held(folder) == {"web": "b\n"}
    with pytest.raises(NodeError, match=r"^busy$"):
        apply.apply(lambda: files.load(str(etc)), directory=str(etc))
    assert pending.exists()
