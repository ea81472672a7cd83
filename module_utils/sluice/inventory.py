"""The catalogue of an inventory, as a run of Ansible would compile it: for commands on the controller."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from .catalogue import sources
from .catalogue.model import Catalogue
from .system.tools import NodeError

_PLAYBOOK = "playbooks/allocate.yml"


def catalogue(path: str) -> Catalogue:
    """The catalogue of the inventory at ``path``; nothing is written beside it, and no node is asked.

    Raises NodeError where ansible-playbook, which knows variables and vaults, is not there or finds faults.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        target = os.path.join(folder, "catalogue.json")
        project = _project()
        command = ["-i", path, os.path.join(project, _PLAYBOOK), "--check", "--extra-vars", f"catalogue_path={target}"]
        config = os.path.join(project, "ansible.cfg")
        environment = {"ANSIBLE_CONFIG": config} if os.path.exists(config) else {}
        environment |= {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml", "ANSIBLE_NOCOLOR": "1"}
        try:
            done = subprocess.run(
                [_ansible_playbook(), *command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise NodeError(f"ansible-playbook: {error.strerror}") from None
        if done.returncode or not os.path.exists(target):
            raise NodeError(f"{path}: {(done.stdout + done.stderr).strip()}")
        return sources.compiled(target)


def _ansible_playbook() -> str:
    """That of the environment in which this runs, else the first of the PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    return beside if os.path.exists(beside) else "ansible-playbook"


def _project() -> str:
    """The folder that holds the playbooks: above module_utils, or above a collection's plugins."""
    here = os.path.dirname(os.path.abspath(__file__))
    for above in ("../..", "../../.."):
        folder = os.path.normpath(os.path.join(here, above))
        if os.path.exists(os.path.join(folder, _PLAYBOOK)):
            return folder
    raise NodeError(f"{_PLAYBOOK} is not here: an inventory is read on the controller")
