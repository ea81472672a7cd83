"""Files are delivered: only what differs is asked for, and they are there before the kernel is what they say."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import folder_backend
import pytest
import support

from sluice.catalogue import compiled
from sluice.node import apply, delivery, files
from sluice.node.result import Result
from sluice.system.tools import NodeError


def checksums(contents: dict[str, str]) -> dict[str, str]:
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()}


def wanted(text: str, **settings: object) -> files.Wanted:
    return files.parse({"settings.json": json.dumps({"backend": "folder", **settings}), folder_backend.FILE: text})


def held(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.is_dir() else {}


def test_each_file_comes_from_the_first_folder_that_has_it(tmp_path: Path) -> None:
    old, sent = tmp_path / "old", tmp_path / "sent"
    for folder, contents in ((old, {"a": "1", "b": "old"}), (sent, {"b": "2"})):
        folder.mkdir()
        for name, text in contents.items():
            (folder / name).write_text(text)
    asked = checksums({"a": "1", "b": "2", "c": "3"})
    first = delivery.gather(asked, [str(old)])
    assert (first.contents, first.lacking) == ({"a": "1"}, ["b", "c"])
    both = delivery.gather(asked, [str(old), str(sent), str(tmp_path / "missing"), str(old / "a")])
    assert (both.contents, both.lacking) == ({"a": "1", "b": "2"}, ["c"])


def test_text_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "\u00e9\r\n"
    (tmp_path / "same").write_text(text, newline="")
    assert delivery.gather(checksums({"same": text}), [str(tmp_path)]) == ({"same": text}, [])


def test_nothing_is_written_in_check_mode(folder: Path, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    predicted = delivery.bring(str(etc), wanted("web a\n"), check=True)
    assert (held(etc), held(folder)) == ({}, {})
    assert delivery.bring(str(etc), wanted("web a\n")) == predicted
    assert (set(held(etc)), held(folder)) == ({"settings.json", folder_backend.FILE}, {"web": "a\n"})
    assert etc.stat().st_mode & 0o777 == 0o755
    again = delivery.bring(str(etc), wanted("web a\n"))
    assert (again.changed, again.files, again.diff(None)) == (False, {}, [])


@pytest.mark.usefixtures("folder")
def test_settings_are_shown_and_rules_where_they_are_asked_for(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    delivery.bring(str(etc), wanted("web a\n"))
    brought = delivery.bring(str(etc), wanted("web b\n", compat="1.20"))
    why, settings = brought.diff(0)
    assert why["prepared"].startswith("no Service was changed: other settings, ")
    assert settings["before_header"] == settings["after_header"] == f"{etc}/settings.json"
    assert len(brought.files) == 2
    rules = "change folder web\n  - a\n"
    assert brought.diff(2) == [why, settings, {"prepared": f"{rules}… and 1 more, which -v shows\n"}]
    assert brought.diff(None) == [why, settings, {"prepared": f"{rules}  + b\n"}]


@pytest.mark.usefixtures("folder")
def test_many_services_are_cut(tmp_path: Path) -> None:
    several = [support.service(f"web{number}", ip=f"10.96.0.{number}") for number in range(1, 60)]
    catalogue = {files.CATALOGUE_FILE: compiled.text(support.catalogue(*several))}
    brought = delivery.bring(str(tmp_path / "etc"), files.parse({**wanted("").contents, **catalogue}))
    assert len(brought.kernel.services()) == 59
    assert brought.diff(0)[0]["prepared"].splitlines()[delivery.MOST_REASONS :] == ["… and 19 more, which -v shows"]
    assert len(brought.diff(None)[0]["prepared"].splitlines()) == 59


def test_files_come_before_the_change_and_leave_after_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the node goes down, it has the files of what its kernel is to become."""
    etc, found = tmp_path / "etc", []
    delivery.bring(str(etc), wanted("web a\n"))
    really = apply.apply

    def looking(given: apply.Load, **rest: Any) -> Result:
        result = really(given, **rest)
        found.append(set(held(etc)))
        return result

    monkeypatch.setattr(apply, "apply", looking)
    brought = delivery.bring(str(etc), files.of_nothing())
    assert found == [{"settings.json", folder_backend.FILE}]
    assert (set(held(etc)), held(folder), brought.changed) == ({"settings.json"}, {}, True)


@pytest.mark.usefixtures("folder")
def test_files_stay_where_the_kernel_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc = tmp_path / "etc"
    delivery.bring(str(etc), wanted("web a\n"))

    def refused(*_given: object) -> None:
        raise NodeError("busy")

    monkeypatch.setattr(folder_backend.FolderLook, "send", refused)
    with pytest.raises(NodeError, match=r"^busy$"):
        delivery.bring(str(etc), files.of_nothing())
    assert held(etc) == dict(wanted("web a\n").contents)
    with pytest.raises(NodeError, match=r"^busy$"):
        delivery.bring(str(etc), wanted("web b\n"))
    assert held(etc) == dict(wanted("web a\n").contents), "or the node's own timer would bring the kernel to it"
    with pytest.raises(NodeError, match=r"^busy$"):
        delivery.bring(str(tmp_path / "new"), wanted("web b\n"))
    assert held(tmp_path / "new") == {}


@pytest.mark.usefixtures("folder")
def test_what_somebody_edited_is_told(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    sealed = files.parse(files.sealed(dict(wanted("web a\n").contents)))
    delivery.bring(str(etc), sealed)
    (etc / folder_backend.FILE).write_text("web b\n")
    for check in (True, False):
        (line,) = delivery.bring(str(etc), sealed, check=check).kernel.warnings
        assert line == f"{etc / folder_backend.FILE} is cut off or was edited by hand (6 bytes): it is replaced"
    assert delivery.bring(str(etc), sealed).kernel.warnings == ()


@pytest.mark.usefixtures("folder")
def test_what_is_no_file_is_replaced(tmp_path: Path) -> None:
    """And not waited for: a FIFO has no end."""
    etc = tmp_path / "etc"
    etc.mkdir()
    os.mkfifo(etc / folder_backend.FILE)
    (etc / "settings.json").write_bytes(b"\xff")
    contents = dict(wanted("web a\n").contents)
    assert delivery.gather(checksums(contents), [str(etc)]).lacking == list(contents)
    delivery.bring(str(etc), wanted("web a\n"))
    assert held(etc) == contents
