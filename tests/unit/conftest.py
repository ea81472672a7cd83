"""Places of a node that a test may write to, and programs that it may run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.node import installation, state, timer, units
from sluice.system import linux, locks, tools


@pytest.fixture
def node_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that the engine keeps on a node lies below this folder, and systemd does not run the node."""
    root = tmp_path / "node"
    root.mkdir()
    for module in (state, locks, units, timer, installation):
        for name, value in list(vars(module).items()):
            if isinstance(value, str) and value.startswith(("/var/lib/", "/run/", "/etc/", "/usr/local/")):
                monkeypatch.setattr(module, name, f"{root}{value}")
    (root / "run").mkdir()
    monkeypatch.setattr(linux, "has_systemd", lambda: False)
    return root


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder in which programs are searched; a test puts scripts there, and nothing else is found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(tools, "PATH", str(folder))
    monkeypatch.setitem(tools.ENVIRONMENT, "PATH", str(folder))
    return folder
