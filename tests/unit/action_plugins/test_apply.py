"""The checksums by which a controller's files are compared with a node's."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.sluice.lb.plugins.action import apply

from sluice.node import delivery


def test_the_node_finds_files_by_these_checksums(tmp_path: Path) -> None:
    (tmp_path / "iptables.rules").write_text("*nat\nCOMMIT\n")
    (tmp_path / "addresses").write_text("")
    found = apply.checksums(str(tmp_path))
    assert list(found) == ["addresses", "iptables.rules"]
    contents = {"addresses": "", "iptables.rules": "*nat\nCOMMIT\n"}
    assert delivery.gather(found, [str(tmp_path)]) == (contents, [])


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        apply.checksums(str(tmp_path / "nowhere"))
