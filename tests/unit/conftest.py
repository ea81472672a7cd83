"""Places of a node that a test may write to, and programs that it may run."""

from __future__ import annotations

from pathlib import Path

import places
import pytest

from sluice.node import rivals
from sluice.system import tools


@pytest.fixture
def node_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that the engine keeps on a node lies below this folder, systemd does not run the node, nor does anybody else
    program Services there, whatever runs on this host."""
    places.place_below(tmp_path / "node", monkeypatch)
    monkeypatch.setattr(rivals, "running", lambda *, by_port: [])
    monkeypatch.setattr(rivals, "left", list)
    return tmp_path / "node"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder in which programs are searched; a test puts scripts there, and nothing else is found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(tools, "PATH", str(folder))
    monkeypatch.setitem(tools.ENVIRONMENT, "PATH", str(folder))
    return folder
