"""Files to give to a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runs import GOOD, LISTED


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "node.yml"
    path.write_text('sluice_node_name: node1\nsluice_ip_families: [IPv4, IPv6]\nhttp_port: 80\nsecret: !vault "x"\n')
    return path


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "listed.yml"
    path.write_text(LISTED)
    return path
