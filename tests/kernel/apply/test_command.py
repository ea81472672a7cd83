"""The installed command on a node, as root runs it."""

from __future__ import annotations

import re

import cases
import hosts

from sluice.node import units


def test_exit_code_is_1_where_something_changes(node: hosts.Node) -> None:
    node.write(cases.rendered([cases.Service(1)]))
    for words, code in (
        (["--check"], 0),
        (["--check", "--exit-code"], 1),
        (["--check", "--exit-code", "--json"], 1),
        (["--exit-code"], 1),
        (["--exit-code"], 0),
        (["--check", "--exit-code"], 0),
        (["--check", "--exit-code", "--dir", "/nowhere"], 2),
    ):
        assert node.sluice("apply", *words, check=False).returncode == code, words


def test_runs_no_code_of_the_current_folder(node: hosts.Node) -> None:
    """Root may stand anywhere: a file there that is named like a module is not executed."""
    said = node.shell(
        """
        mkdir /run/elsewhere && cd /run/elsewhere
        for name in json argparse sluice encodings; do echo 'print("executed")' >$name.py; done
        export PYTHONPATH=/run/elsewhere
        sluice --version
        """
    )
    assert said.startswith("sluice ")
    assert "executed" not in said


def test_a_repair_says_only_what_it_repaired(node: hosts.Node) -> None:
    node.apply(cases.rendered([cases.Service(1)]))
    repair = units.contents(60)[f"{units.FOLDER}/sluice-repair.service"] or ""
    (command,) = re.findall(r"^ExecStart=(.+)$", repair, re.MULTILINE)
    assert node.shell(command) == ""
    node.shell("iptables -t nat -F KUBE-SERVICES")
    assert node.shell(command).startswith("changed=1 ")
    assert node.shell(command) == ""
