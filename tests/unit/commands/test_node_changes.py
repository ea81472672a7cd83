"""What is asked of a node that cannot be: a line and exit code 2, before anything is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runs import Ran


@pytest.mark.parametrize("words", [("apply", "--check"), ("diff",)])
def test_of_no_node(words: tuple[str, ...], tmp_path: Path) -> None:
    ran = Ran(*words, "--dir", tmp_path)
    assert (ran.code, ran.output, len(ran.errors)) == (2, "", 1)
    assert "settings.json" in ran.errors[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("drain", "192.0.2.21", "web\x1b1", "192.0.2"), "not an IP address: web\\x1b1, 192.0.2"),
        (("undrain", "web1"), "not an IP address: web1"),
        (("drain", "--check"), "drain --check: name addresses, or --node"),
        (("undrain",), "undrain: name addresses, or --node"),
        (("drain", "--node", "192.0.2.21"), "--node goes with no address"),
        (("undrain", "--node", "192.0.2.21"), "--node goes with no address"),
    ],
)
def test_what_is_drained_has_to_be_said(words: tuple[str, ...], message: str) -> None:
    ran = Ran(*words)
    assert (ran.code, ran.output, ran.errors) == (2, "", [f"sluice: {message}"])
