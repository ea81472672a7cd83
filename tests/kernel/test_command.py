"""The installed command on a node, as root runs it."""

from __future__ import annotations

import hosts


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
