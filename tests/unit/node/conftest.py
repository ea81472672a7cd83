"""A node whose kernel is a folder, and whose sluice command writes down how it is called."""

from __future__ import annotations

from pathlib import Path

import folder_backend
import pytest
from places import script

from sluice.backends import registry
from sluice.node import units


@pytest.fixture
def folder(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is the kernel of the one backend that there is."""
    kernel = node_root / "kernel"
    monkeypatch.setattr(folder_backend, "KERNEL", kernel)
    monkeypatch.setattr(registry, "BACKENDS", {"folder": folder_backend.BACKEND})
    return kernel


@pytest.fixture
def command(node_root: Path) -> Path:
    """The sluice command is installed; each call is a line in the file that this returns."""
    calls = node_root / "calls"
    script(Path(units.COMMAND), f'echo "$*" >>{calls}')
    return calls
