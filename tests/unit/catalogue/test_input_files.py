"""Only files are read, whatever stands in their place, and only our own where that counts."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sluice.catalogue import input_files
from sluice.catalogue.input_files import Unreadable


def reason(path: object, *, own: bool = False) -> str:
    with pytest.raises(Unreadable) as caught:
        (input_files.own_content if own else input_files.content)(str(path))
    return str(caught.value)


def test_text(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\xc3\xa9\r")
    assert input_files.content(str(path)) == input_files.own_content(str(path)) == "a\nb\xe9\n"


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert reason(tmp_path / "socket") == "No such device or address"
    (tmp_path / "loop").symlink_to("loop")
    assert reason(tmp_path / "fifo") == "is a FIFO, not a file"
    assert reason(tmp_path) == "Is a directory"
    assert reason("/dev/zero") == "is a device, not a file"
    assert reason(tmp_path / "loop") == "Too many levels of symbolic links"
    assert reason(tmp_path / ("a" * 300)) == "File name too long"
    assert reason(tmp_path / "no") == "No such file or directory"
    assert reason(f"{tmp_path}/a\0b") == "embedded null byte"


def test_an_error_of_the_disk_is_said() -> None:
    """The kernel's own file for it: reading another process's memory at address 0 is EIO."""
    assert reason("/proc/self/mem") == "Input/output error"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_says_the_encoding(encoding: str, tmp_path: Path) -> None:
    """PowerShell's > writes UTF-16, as Notepad's "Unicode" does."""
    path = tmp_path / "a"
    path.write_bytes("\ufeffa: \xe9\U0001f600\r\nb\r".encode(encoding))
    assert input_files.content(str(path)) == input_files.own_content(str(path)) == "a: \xe9\U0001f600\nb\n"
    path.write_bytes("\ufeff".encode(encoding))
    assert input_files.content(str(path)) == ""


def test_byte_order_marks_of_files_that_were_joined(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n\xef\xbb\xbf---\r\n\xef\xbb\xbfb: 1\r\n")
    assert input_files.content(str(path)) == "a: 1\n---\nb: 1\n"


def test_what_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for data, why in (
        (b"\xff\n", "is not UTF-8 (invalid start byte at byte 0): save it as UTF-8"),
        (b"\xff\xfea\0b", "is not UTF-16 (truncated data at byte 4): save it as UTF-8"),
        ("a: 1\n".encode("utf-16-le"), "is not UTF-8 (UTF-16 without a byte order mark?): save it as UTF-8"),
        ("a: 1\n".encode("utf-16-be"), "is not UTF-8 (UTF-16 without a byte order mark?): save it as UTF-8"),
        ("a: 1\n".encode("utf-32-be"), "is not UTF-8 (UTF-16 without a byte order mark?): save it as UTF-8"),
    ):
        path.write_bytes(data)
        assert reason(path) == why


def test_a_file_with_holes_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as stream:
        stream.truncate(1 << 40)
    assert reason(tmp_path / "holes") == "has more than 256 MiB"


def test_a_pipe_that_was_handed_over() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"a: 1\n")
    os.close(writer)
    assert input_files.content(f"/dev/fd/{reader}") == "a: 1\n"
    os.close(reader)


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_may_write(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a")
    path.chmod(mode)
    assert reason(path, own=True) == f"it may be written by others (mode {mode:o})"
    assert input_files.content(str(path)) == "a"


def test_a_folder_that_others_may_write(tmp_path: Path) -> None:
    """The sticky bit does not help: whoever comes first may put a file there."""
    path = tmp_path / "a"
    path.write_text("a")
    for mode in (0o777, 0o1777, 0o775):
        tmp_path.chmod(mode)
        assert reason(path, own=True) == f"its folder {tmp_path} may be written by others (mode {mode:o})"
        with pytest.raises(Unreadable, match="may be written by others"):
            input_files.check_own_folder(str(tmp_path / "to come"))
    tmp_path.chmod(0o755)
    assert input_files.own_content(str(path)) == "a"
    input_files.check_own_folder(str(tmp_path / "to come"))


@pytest.mark.usefixtures("needs_root")
def test_what_belongs_to_another_user(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a")
    os.chown(path, 65534, 65534)
    assert reason(path, own=True) == "it belongs to user 65534, who may have written anything"
    os.chown(path, 0, 0)
    os.chown(tmp_path, 65534, 65534)
    assert reason(path, own=True).startswith(f"its folder {tmp_path} belongs to user 65534")


def test_the_folder_of_a_link_is_that_of_the_file(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "a").write_text("a")
    theirs.chmod(0o777)
    (tmp_path / "a").symlink_to(theirs / "a")
    assert reason(tmp_path / "a", own=True).startswith(f"its folder {theirs} may be written")
