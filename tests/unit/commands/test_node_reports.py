"""What a node that is none is said to be, and where its metrics go; tests/kernel asks real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runs import Ran


@pytest.mark.parametrize("words", [("status",), ("status", "--json")])
def test_status_of_what_is_no_node(words: tuple[str, ...], tmp_path: Path) -> None:
    ran = Ran(*words, "--dir", tmp_path)
    line = f"sluice: there is no {tmp_path}/settings.json: this node was given no Services"
    assert (ran.code, ran.output, ran.errors) == (2, "", [line])


def test_metrics_go_to_a_file_alone(tmp_path: Path) -> None:
    ran = Ran("status", "--out", tmp_path / "a.prom")
    assert (ran.code, ran.errors) == (2, ["sluice: status --out: goes with --metrics"])
    ran = Ran("status", "--metrics", "--out", tmp_path / "a.prom", "--dir", tmp_path)
    assert (ran.code, list(tmp_path.iterdir())) == (2, []), "of no node there is no file"
