"""A place is root's alone if nobody else can change anything on the way to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sluice.system import trust


@pytest.fixture
def place(tmp_path: Path) -> Path:
    if os.getuid():
        pytest.skip("NOT TESTED: only root can give files away")
    path = tmp_path / "folder" / "file"
    path.parent.mkdir(mode=0o755)
    path.touch(mode=0o644)
    return path


def test_root_alone(place: Path) -> None:
    assert trust.others(str(place)) == ""
    link = place.parent / "link"
    link.symlink_to("../folder/file")
    assert trust.others(str(link)) == ""


@pytest.mark.parametrize("what", [".", ".."])
def test_who_owns_it(what: str, place: Path) -> None:
    where = place if what == "." else place.parent
    os.chown(where, 1234, 0)
    assert trust.others(str(place)) == f"user 1234, who owns {where}"


@pytest.mark.parametrize(
    ("mode", "group", "who"), [(0o777, 0, "everybody, who"), (0o775, 1234, "the group 1234, which")]
)
def test_who_may_write(mode: int, group: int, who: str, place: Path) -> None:
    os.chown(place.parent, 0, group)
    place.parent.chmod(mode)
    assert trust.others(str(place)) == f"{who} may write to {place.parent}"


def test_the_root_group_is_root_and_sticky_folders_protect(place: Path) -> None:
    place.parent.chmod(0o775)
    assert trust.others(str(place)) == ""
    place.parent.chmod(0o1777)
    assert trust.others(str(place)) == ""


def test_links_lead_elsewhere(place: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 1234, 1234)
    (theirs / "file").touch()
    link = place.parent / "link"
    link.symlink_to(theirs)
    assert trust.others(f"{link}/file") == f"user 1234, who owns {theirs}"
    place.unlink()
    place.symlink_to(place)
    assert "circle" in trust.others(str(place))
    with pytest.raises(FileNotFoundError):
        trust.others(f"{tmp_path}/nowhere")
