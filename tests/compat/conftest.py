"""What the tests of installed controllers share: the collection that they install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import release_tree

ROOT = release_tree.ROOT


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection, built from its release tree."""
    folder = tmp_path_factory.mktemp("release")
    tree = release_tree.write(ROOT, folder)
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    subprocess.run([galaxy, "collection", "build", tree, "--output-path", folder], check=True, capture_output=True)
    (built,) = folder.glob("*.tar.gz")
    return built
