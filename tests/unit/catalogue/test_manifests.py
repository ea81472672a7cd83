"""Files, folders and documents to objects, each with its place."""

from __future__ import annotations

import os
from pathlib import Path

from bad_input import GOOD, build

from sluice.catalogue import manifests


def test_long_comment_header_is_read_at_once(tmp_path: Path) -> None:
    """A regular expression that can match a line of # in more than one way takes for ever."""
    assert build(tmp_path, "#" * 5000 + "\n" + "%" * 5000 + "\n" + " " * 5000 + "\n---\n" + GOOD) == []


def test_place_of_an_item_of_a_list(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: A\n"
    faults = build(tmp_path, text + "  spec: {ports: [{port: 1}]}\n")
    assert [(fault.line, fault.field) for fault in faults if not fault.warning] == [(7, "metadata.name")]


def test_lists_within_lists_are_no_objects(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: []}\n"
    (fault,) = build(tmp_path, text)
    assert "v1 List is not a kind" in fault.message


def test_files_of_a_folder_come_by_name(tmp_path: Path) -> None:
    for name in ("b.yml", "a/z.yaml", "a/c.json", "notes.txt", "a/b.yml~"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    texts, faults = manifests.read([str(tmp_path)])
    assert not faults
    assert [os.path.relpath(name, tmp_path) for name, _ in texts] == ["b.yml", "a/c.json", "a/z.yaml"]
