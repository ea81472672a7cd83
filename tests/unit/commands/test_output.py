"""Files in a folder that somebody has named are written there, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_runs import Ran

from sluice.commands import output
from sluice.faults import Fault


def test_links_in_the_folder_of_the_files_are_replaced(tmp_path: Path, good: Path, node: Path) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    precious.write_text("mine")
    for name in ("iptables.rules", "ip6tables.rules", "settings.json"):
        (out / name).symlink_to(precious)
    assert Ran("render", "--settings", node, "--out", out, good).code == 0
    assert precious.read_text() == "mine"
    assert not any(path.is_symlink() for path in out.iterdir())


@pytest.mark.usefixtures("needs_root")
def test_a_folder_that_another_user_has_linked_is_refused(tmp_path: Path, good: Path, node: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.symlink_to(elsewhere)
    assert Ran("render", "--settings", node, "--out", out, good).code == 0, "our own link"
    os.lchown(out, 65534, 65534)
    ran = Ran("render", "--settings", node, "--out", out, good)
    assert (ran.code, ran.errors) == (2, [f"sluice: {out}: is a link that another user has made"])


def test_faults_and_warnings_are_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_faults([Fault("web.yml", 1, "Service shop/web", "spec", "must be a mapping")])
    output.warn(["a route is missing"])
    output.say("changed=0")
    written = capsys.readouterr()
    assert written.out == "changed=0\n"
    assert written.err.splitlines()[1:] == ["warning: a route is missing"]
    assert written.err.startswith("web.yml:1: Service shop/web: spec: must be a mapping")
