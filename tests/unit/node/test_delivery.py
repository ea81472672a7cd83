"""Which of a controller's files a node has already."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sluice.node import delivery


def checksums(**texts: str) -> dict[str, str]:
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def test_what_is_the_same_is_taken_from_the_node(tmp_path: Path) -> None:
    (tmp_path / "same").write_text("é\r\n", newline="")
    (tmp_path / "other").write_text("old")
    wanted = checksums(same="é\r\n", other="new", none="")
    assert delivery.gather(wanted, [str(tmp_path)]) == ({"same": "é\r\n"}, ["other", "none"])


def test_what_differs_is_taken_from_what_was_sent(tmp_path: Path) -> None:
    own, sent = tmp_path / "own", tmp_path / "sent"
    own.mkdir()
    sent.mkdir()
    (own / "same").write_text("same")
    (own / "other").write_text("old")
    (sent / "other").write_text("new")
    wanted = checksums(same="same", other="new")
    assert delivery.gather(wanted, [str(own), str(sent)]) == ({"same": "same", "other": "new"}, [])


def test_a_node_without_the_folder_lacks_all(tmp_path: Path) -> None:
    assert delivery.gather(checksums(a="1"), [str(tmp_path / "none")]) == ({}, ["a"])
