"""The file of metrics is fresh, is not written all the time, and everybody may read it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import places
import pytest

from sluice.node import published
from sluice.node.published import LATEST, SOONEST, Published
from sluice.system.tools import NodeError


@pytest.fixture(autouse=True)
def _here(node_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The path of a socket has 107 characters at most.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(published, "SOCKET", os.path.relpath(tmp_path / "s"))


@pytest.fixture
def supervisor() -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(published.SOCKET)
        listening.listen(1)
        yield


def test_it_is_written_in_time_and_not_all_the_time() -> None:
    found, written = Published(), []

    def look(now: float) -> list[float]:
        """When it was written so far."""

        def text() -> str:
            written.append(now)
            return f"written at {now}\n"

        found.look(now, text)
        return written

    assert look(100.0) == [100.0]
    assert look(100.0 + LATEST - 0.1) == [100.0]
    assert look(found.due) == [100.0, 100.0 + LATEST]
    written.clear()
    found.note()
    found.note()
    assert look(100.5 + LATEST) == []
    assert found.due == 100.0 + LATEST + SOONEST
    assert look(found.due) == [found.due - LATEST]
    assert Path(published.FILE).read_text() == f"written at {written[-1]}\n"


def test_everybody_may_read_it() -> None:
    Published().look(0.0, lambda: "1\n")
    modes = [os.stat(path).st_mode & 0o777 for path in (published.FILE, os.path.dirname(published.FILE))]
    assert modes == [0o644, 0o755]
    assert os.listdir(os.path.dirname(published.FILE)) == ["metrics.prom"]


def test_that_it_cannot_be_written_is_said_once(node_root: Path) -> None:
    folder = Path(published.FILE).parent
    folder.write_text("in the way")
    found = Published()
    for now in (0.0, 20.0, 40.0):
        found.look(now, lambda: "1\n")
    assert places.journal(node_root) == [f"health: {published.FILE}: File exists"]
    folder.unlink()
    found.look(60.0, lambda: "2\n")
    assert Path(published.FILE).read_text() == "2\n"


def test_what_is_published_is_read_while_somebody_publishes(supervisor: None) -> None:
    found = Published()
    found.look(0.0, lambda: "1\n")
    assert published.read() == "1\n"
    found.end()
    with pytest.raises(NodeError, match=r"^the supervisor of health does not run$"):
        published.read()


def test_what_a_supervisor_left_behind_that_was_killed_is_not_believed() -> None:
    Published().look(0.0, lambda: "1\n")
    with pytest.raises(NodeError, match=r"^the supervisor of health does not run$"):
        published.read()
