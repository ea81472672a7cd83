"""Variables of hosts are checked in one task, once for all of them; here in a playbook that is not ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
PLAY = "- hosts: lbs\n  gather_facts: false\n  tasks:\n    - sluice.lb.variables:\n      run_once: true\n"
HOSTS = """\
lbs:
  hosts: {lb1: {}, lb2: {sluice_backend: ipvs}}
  vars:
    VARIABLE
others:
  hosts:
    web1: {sluice_redy: false}
"""


def played(folder: Path, variable: str) -> tuple[int, str]:
    """The exit code and the output of a play with a variable of a group."""
    (folder / "play.yml").write_text(PLAY)
    (folder / "hosts.yml").write_text(HOSTS.replace("VARIABLE", variable))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", folder / "hosts.yml", folder / "play.yml"],
        cwd=folder,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_variable_of_any_host_that_nobody_knows_is_a_line(tmp_path: Path) -> None:
    code, output = played(tmp_path, "sluice_masquerade_all: true")
    line = f"{tmp_path}/hosts.yml:7: host web1: sluice_redy: warning: no such setting, did you mean sluice_ready?"
    assert (code, output.count(line)) == (0, 1)


def test_a_value_that_is_none_fails_once_for_all_hosts(tmp_path: Path) -> None:
    code, output = played(tmp_path, "sluice_cluster_cidrs: [banana]")
    assert code == 2
    assert f"{tmp_path}/hosts.yml:4: hosts lb1, lb2: sluice_cluster_cidrs: 'banana' is not a CIDR" in output
    assert "The settings are not valid; nothing was changed." in output
    assert output.count("fatal: ") == 1


def test_strictly_a_warning_is_a_fault(tmp_path: Path) -> None:
    code, output = played(tmp_path, "sluice_strict: true")
    assert code == 2
    assert "host web1: sluice_redy: no such setting, did you mean sluice_ready?" in output
