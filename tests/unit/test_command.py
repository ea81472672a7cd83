"""The ``sluice`` command as a process: exit codes, what goes to stderr, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runs import GOOD, LISTED, Ran


@pytest.mark.parametrize("words", [[], ["frobnicate"], ["render", "x"], ["validate"], ["apply", "--wrong"]])
def test_wrong_use_is_2(words: list[str]) -> None:
    assert Ran(*words).code == 2


def test_what_cannot_be_done_is_2(tmp_path: Path) -> None:
    manifest, settings, file = tmp_path / "web.yml", tmp_path / "node.yml", tmp_path / "file"
    manifest.write_text(GOOD)
    settings.write_text("sluice_node_name: node1\n")
    file.write_text("")
    ran = Ran("render", "--settings", settings, "--out", file, manifest)
    assert (ran.code, len(ran.errors)) == (2, 1)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", "3601"])
def test_how_long_top_waits(seconds: str) -> None:
    ran = Ran("top", "--interval", seconds)
    assert ran.code == 2
    assert ran.errors[-1].endswith(f"argument --interval: must be from 0.1 to 3600.0 seconds, is {seconds}")


def test_a_terminal_that_lacks_characters(tmp_path: Path) -> None:
    listed = tmp_path / "listed.yml"
    listed.write_text(LISTED)
    ran = Ran("get", "svc", "-A", "-o", "wide", listed, encoding="ascii")
    assert (ran.code, ran.output.splitlines()[-1].split()[-1]) == (0, r"app=w\xe9b")
