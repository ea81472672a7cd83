"""What metrics are made of besides the status: the node's files, as far as they can be read."""

from __future__ import annotations

from pathlib import Path

import support

from sluice.addresses import IPV4
from sluice.backends.iptables import text as ruleset
from sluice.catalogue import compiled
from sluice.node import exported, files
from sluice.node.state import InForce
from sluice.node.status import Drift, Status

FOUND = Status("lb1", "iptables", InForce(0), None, None, {}, (0, 0), Drift(0), None, None)


def test_files_are_counted_and_services_named(tmp_path: Path) -> None:
    catalogue = support.catalogue(support.service())
    texts = {**support.rendered(catalogue, support.node()), files.CATALOGUE_FILE: compiled.text(catalogue)}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "notes.txt").write_text("-A x\n")
    told = exported.text(FOUND, str(tmp_path))
    rules = texts[ruleset.FILES[IPV4]].count("\n-A ")
    assert f'sluice_rules{{file="{ruleset.FILES[IPV4]}"}} {rules}\n' in told
    assert "notes.txt" not in told
    assert 'sluice_service_without_ready_endpoints{namespace="shop",service="web"} 1\n' in told


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / files.CATALOGUE_FILE).write_text("{")
    (tmp_path / ruleset.FILES[IPV4]).write_bytes(b"-A \xff\n")
    told = exported.text(FOUND, str(tmp_path))
    assert "sluice_generation 0\n" in told
    assert "sluice_rules" not in told
    assert "without_ready" not in told
