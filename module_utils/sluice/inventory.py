"""The catalogue of an inventory, as a run of Ansible would compile it: for commands on the controller."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

from . import variable_files
from .catalogue import sources
from .catalogue.model import Catalogue
from .faults import Fault, InputError
from .system.tools import NodeError

_PLAYBOOK = "playbooks/allocate.yml"
_OF_THE_COLLECTION = "sluice.lb.allocate"


class Compiled(NamedTuple):
    """The catalogue of an inventory, and what a run would warn of."""

    catalogue: Catalogue
    warnings: list[Fault]


def compiled(path: str, *, strict: bool = False) -> Compiled:
    """The catalogue of the inventory at ``path``; nothing is written beside it, and no node is asked.

    ``strict``: warnings are faults. Raises InputError with every fault that a run would find, and NodeError where
    ansible-playbook, which knows variables and vaults, is not there or cannot read the inventory.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        target = os.path.join(folder, "catalogue.json")
        project = _project()
        playbook = os.path.join(project, _PLAYBOOK) if project else _OF_THE_COLLECTION
        command = [_ansible_playbook(), "-i", path, playbook, "--check", "--extra-vars", f"catalogue_path={target}"]
        if strict:
            command += ["--extra-vars", "sluice_strict=true"]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **_environment(project)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise NodeError(f"ansible-playbook: {error.strerror}") from None
        warnings = [_fault(line) for line in done.stderr.splitlines() if ": warning: " in line]
        reasons = _reasons(done.stdout)
        if reasons:
            raise InputError([*map(_fault, reasons), *warnings])
        if done.returncode and f"{_OF_THE_COLLECTION} could not be found" in done.stderr:
            raise NodeError(
                "the collection sluice.lb is not installed: ansible-galaxy collection install sluice-lb-*.tar.gz"
            )
        broken = variable_files.broken([path]) if done.returncode else []
        if broken:  # Ansible does not always say which file it could not read
            raise InputError([*broken, *warnings])
        if done.returncode or not os.path.exists(target):
            said = re.findall(r"^sluice: (.*)$", done.stderr, re.MULTILINE)
            raise NodeError(f"{path}: {(said or [done.stderr or done.stdout])[-1].strip()}")
        return Compiled(sources.compiled(target), warnings)


def _fault(line: str) -> Fault:
    """A line that says all of itself."""
    return Fault(line, 0, "", "", "")


def _environment(project: str) -> dict[str, str]:
    """What has Ansible find the project's roles, print each result on one line, and each warning alone."""
    config = os.path.join(project, "ansible.cfg")
    return {
        **({"ANSIBLE_CONFIG": config} if project and os.path.exists(config) else {}),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_CALLBACK_FORMAT_PRETTY": "0",
        "ANSIBLE_NOCOLOR": "1",
        "SLUICE_SUMMARY": "off",
    }


def _reasons(output: str) -> list[str]:
    """The faults in the messages of the tasks that failed, each once, without the head of each message."""
    found: dict[str, None] = {}
    for result in re.findall(r"^fatal: \[.*?\]: FAILED! => (\{.*\})$", output, re.MULTILINE):
        with contextlib.suppress(ValueError):
            head, *lines = str(json.loads(result).get("msg", "")).splitlines() or [""]
            found.update(dict.fromkeys(lines or [head]))
    return list(filter(None, found))


def _ansible_playbook() -> str:
    """That of the environment in which this runs, else the first of the PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    return beside if os.path.exists(beside) else "ansible-playbook"


def _project() -> str:
    """The folder that holds the playbooks: above module_utils, or above a collection's plugins.

    Empty where pip installed the engine alone: Ansible knows where the collection is, if it is installed.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    for above in ("../..", "../../.."):
        folder = os.path.normpath(os.path.join(here, above))
        if os.path.exists(os.path.join(folder, _PLAYBOOK)):
            return folder
    return ""
