"""One value in one file is there as it was written, or it is not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sluice.node import kept


def is_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, int) for each in value.values())


def is_list(value: Any) -> bool:
    return isinstance(value, list)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize(("value", "form"), [({"a": 1}, is_numbers), ({"value": 1}, is_numbers), (["a"], is_list)])
def test_what_is_kept_comes_back(value: Any, form: Any, path: Path) -> None:
    assert (kept.value(str(path), form), kept.damaged(str(path), form)) == (None, False)
    path.write_text(kept.text(value))
    found = kept.value(str(path), form)
    assert (found, kept.damaged(str(path), form)) == (value, False)


def test_what_an_earlier_version_kept_comes_back(path: Path) -> None:
    """It had no proof, so it has to be in form."""
    path.write_text(json.dumps({"a": 1}))
    assert kept.value(str(path), is_numbers) == {"a": 1}
    path.write_text(json.dumps({"a": "1"}))
    assert (kept.value(str(path), is_numbers), kept.damaged(str(path), is_numbers)) == (None, True)
    path.write_text(json.dumps({"value": ["a"]}))
    assert kept.damaged(str(path), is_list)


def test_every_byte_counts(path: Path) -> None:
    data = kept.text({"a": 12, "b": 3}).encode()
    for place in range(len(data) - 1):
        for bit in range(8):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            value = kept.value(str(path), is_numbers)
            assert (value is None) == kept.damaged(str(path), is_numbers)
            assert value in (None, {"a": 12, "b": 3}), (place, bit)
    for length in range(len(data) - 1):
        path.write_bytes(data[:length])
        assert kept.damaged(str(path), is_numbers), length


DEEP = b"[" * 100_000


@pytest.mark.parametrize("data", [b"\xff", DEEP, b'{"sha256": ' + DEEP, b"NaN", b"\0"], ids=range(5))
def test_whatever_stands_there_is_no_fault(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    assert (kept.value(str(path), is_numbers), kept.damaged(str(path), is_numbers)) == (None, True)


def test_a_fifo_is_damaged_and_keeps_nobody_waiting(path: Path) -> None:
    os.mkfifo(path)
    assert (kept.value(str(path), is_numbers), kept.damaged(str(path), is_numbers)) == (None, True)


def test_it_is_set_aside(path: Path) -> None:
    aside = Path(f"{path}.damaged")
    path.write_text("")
    assert kept.set_aside(str(path), check=True) == f"{path} is damaged; the next apply sets it aside"
    assert path.exists()
    assert kept.set_aside(str(path)) == f"{path} was damaged: it is set aside as {aside}"
    assert (path.exists(), aside.read_text()) == (False, "")
    path.mkdir()
    (path / "file").write_text("")
    kept.set_aside(str(path))
    assert os.listdir(aside) == ["file"], "whatever was there makes room"
    path.mkdir()
    kept.set_aside(str(path))
    assert os.listdir(aside) == []
    assert kept.set_aside(str(path)) == f"{path} is damaged, and cannot be set aside: No such file or directory"
