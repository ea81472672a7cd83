"""Files are written whole and at once, and only those that differ."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sluice.system import owned_files


def test_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert owned_files.content(str(path)) is None
    assert owned_files.content(f"{path}/below") is None
    path.write_bytes(b"a\r\nb\n")
    assert owned_files.content(str(path)) == "a\r\nb\n", "as it is, line ends too"
    assert owned_files.content(f"{path}/below") is None, "a file is no folder"
    with pytest.raises(OSError):
        owned_files.content(str(tmp_path))


def test_only_what_differs(tmp_path: Path) -> None:
    same, other, extra, gone = (str(tmp_path / name) for name in ("same", "other", "extra", "gone"))
    owned_files.write({same: "x", other: "x", extra: "x"})
    wanted = {same: "x", other: "y", extra: None, gone: None}
    assert owned_files.differing(wanted) == {other: "y", extra: None}
    owned_files.write(wanted)
    assert owned_files.differing(wanted) == {}
    assert sorted(os.listdir(tmp_path)) == ["other", "same"]


@pytest.mark.parametrize("sync", [True, False])
def test_whoever_reads_has_the_old_one_or_the_new(sync: bool, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    owned_files.write({str(path): "old\n"}, sync=sync)
    with open(path) as reader:
        owned_files.write({str(path): "new\n"}, sync=sync)
        assert reader.read() == "old\n"
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(path.parent) == ["file"]


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    with pytest.raises(OSError):
        owned_files.write({str(tmp_path / "folder"): "x"})
    with pytest.raises(UnicodeEncodeError):
        owned_files.write({str(tmp_path / "file"): "\ud800"})
    assert os.listdir(tmp_path) == ["folder"]


def test_a_link_to_nowhere_is_removed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    owned_files.write({str(link): None})
    assert not os.path.lexists(link)


def test_diff_before_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old\n")
    new = str(tmp_path / "new")
    assert owned_files.diff({str(path): None, new: "x\n"}) == [
        {"before_header": str(path), "after_header": str(path), "before": "old\n", "after": ""},
        {"before_header": new, "after_header": new, "before": "", "after": "x\n"},
    ]


def test_a_fifo_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match=r"not a file"):
        owned_files.content(str(tmp_path / "fifo"))


def test_text_that_is_none_differs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xff")
    assert owned_files.differing({str(path): "x"}) == {str(path): "x"}
    assert owned_files.diff({str(path): "x"})[0]["before"] == ""


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.write_text("mine")
    link.symlink_to(mine)
    owned_files.write({str(link): "x"})
    assert (mine.read_text(), link.is_symlink(), link.read_text()) == ("mine", False, "x")
    with pytest.raises(FileExistsError):
        owned_files.exclusive(str(mine), os.O_CREAT | os.O_WRONLY)


@pytest.mark.parametrize(("umask", "folder", "file"), [(0, 0o755, 0o644), (0o077, 0o700, 0o644)])
def test_others_may_not_write_whatever_the_umask(umask: int, folder: int, file: int, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    before = os.umask(umask)
    try:
        owned_files.write({str(path): "x"})
    finally:
        os.umask(before)
    assert [each.stat().st_mode & 0o777 for each in (path.parent.parent, path.parent, path)] == [folder, folder, file]
    path.parent.chmod(0o777)
    owned_files.protect(str(path.parent))
    assert path.parent.stat().st_mode & 0o777 == 0o755


def test_what_others_may_write_differs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    owned_files.write({str(path): "text"})
    assert owned_files.differing({str(path): "text"}) == {}
    path.chmod(0o646)
    assert owned_files.differing({str(path): "text"}) == {str(path): "text"}
    if os.geteuid() == 0:
        path.chmod(0o644)
        os.chown(path, 1, 1)
        os.chown(tmp_path, 1, 1)
        assert owned_files.differing({str(path): "text"}) == {str(path): "text"}
        owned_files.protect(str(tmp_path))
        assert tmp_path.stat().st_uid == 0


def test_folders_that_others_make_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible renders for several nodes at once, into folders side by side."""
    mkdir = os.mkdir

    def slower(path: str, mode: int) -> None:
        mkdir(path, mode)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", slower)
    owned_files.write({str(tmp_path / "a" / "b" / "file"): "x"})
    assert (tmp_path / "a" / "b" / "file").read_text() == "x"
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        owned_files.make_folder(str(tmp_path / "file"))


def test_a_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    owned_files.write({"file": "x", "a/b/file": "y"})
    assert ((tmp_path / "file").read_text(), (tmp_path / "a" / "b" / "file").read_text()) == ("x", "y")


@pytest.mark.parametrize("size", [0, 10, 3 << 20])
def test_the_digest_of_a_file_is_of_its_bytes(size: int, tmp_path: Path) -> None:
    data = "ü".encode() * (size // 2)
    (tmp_path / "file").write_bytes(data)
    assert owned_files.with_digest(str(tmp_path / "file")) == (data.decode(), hashlib.sha256(data).hexdigest())
    (tmp_path / "file").write_bytes(b"\xff" + data)
    with pytest.raises(UnicodeDecodeError):
        owned_files.with_digest(str(tmp_path / "file"))
