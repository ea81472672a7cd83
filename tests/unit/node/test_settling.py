"""What waits for its connections is asked after until nothing waits any more."""

from __future__ import annotations

from pathlib import Path

import folder_backend
import pytest
from places import comes_true, journal

from sluice.backends.interface import Memory
from sluice.node import settling, state

LAYER = folder_backend.BACKEND.layers[0]
WAITS = Memory(lasting={folder_backend.CLAIM: 2})


@pytest.fixture(autouse=True)
def countdown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that waits until it has been asked twice."""

    def settle(_layer: object, memory: Memory, _now: float) -> Memory:
        left = memory.lasting[folder_backend.CLAIM] - 1
        return Memory(lasting={folder_backend.CLAIM: left} if left else {})

    monkeypatch.setattr(folder_backend.FolderLayer, "waiting", folder_backend.CLAIM)
    monkeypatch.setattr(folder_backend.FolderLayer, "settle", settle)


def test_nothing_waits() -> None:
    assert not settling.waits()
    assert settling.run() is False
    settling.begin(waited=False)
    settling.begin(waited=True)


def test_until_nothing_waits(node_root: Path) -> None:
    """The journal has a line where something was removed."""
    state.remember(LAYER, WAITS)
    assert settling.waits()
    assert [settling.run(), settling.run(), settling.run()] == [True, False, False]
    assert not settling.waits()
    line = "drain: folder: what has no connections any more was removed"
    assert journal(node_root) == [f"{line}, connections are left", f"{line}, nothing is left to drain"]


def test_what_still_has_its_connections_is_no_news(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_backend.FolderLayer, "settle", lambda _layer, memory, _now: memory)
    state.remember(LAYER, WAITS)
    assert settling.run()
    assert journal(node_root) == []


def test_an_apply_starts_the_timer_for_what_is_left(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "SECONDS", 0)
    state.remember(LAYER, WAITS)
    settling.begin(waited=False)
    try:
        assert comes_true(lambda: command.exists() and command.read_text().startswith("drain\n"))
    finally:
        assert settling.run() is False
    assert not settling.waits()


def test_what_need_not_wait_starts_none(command: Path) -> None:
    state.remember(LAYER, Memory(lasting={folder_backend.CLAIM: 1}))
    settling.begin(waited=False)
    assert not settling.waits()
    assert not command.exists()


def test_what_is_damaged_is_set_aside() -> None:
    """A tick of the timer is no reason to lose it."""
    state.remember(LAYER, WAITS)
    path = Path(state.ROOT) / folder_backend.CLAIM
    path.write_text("{")
    warnings: list[str] = []
    assert settling.run(warnings) is False
    assert warnings == [f"{path} was damaged: it is set aside as {path}.damaged"]
    assert Path(f"{path}.damaged").read_text() == "{"
