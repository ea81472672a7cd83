"""A node whose kernel is a folder, and whose sluice command writes down how it is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import folder_backend
import pytest
from places import script

from sluice.backends import registry
from sluice.node import timer, units


@pytest.fixture
def folder(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is the kernel of the one backend that there is."""
    kernel = node_root / "kernel"
    monkeypatch.setattr(folder_backend, "KERNEL", kernel)
    monkeypatch.setattr(registry, "BACKENDS", {"folder": folder_backend.BACKEND})
    return kernel


@pytest.fixture
def etc(folder: Path) -> Path:
    """The folder of the node's files."""
    return folder.parent / "etc"


@pytest.fixture
def command(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The sluice command is installed; each call is a line in the file that this gives. No timer outlives a test."""
    calls = node_root / "calls"
    script(Path(units.COMMAND), f'echo "$*" >>{calls}')
    armed: list[str] = []
    arm = timer.arm

    def recorded(seconds: int, change: str) -> str:
        armed.append(arm(seconds, change))
        return armed[-1]

    monkeypatch.setattr(timer, "arm", recorded)
    yield calls
    for each in armed:
        timer.disarm(each)
