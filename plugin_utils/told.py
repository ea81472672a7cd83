"""What an action has to say of the input: lines, each once a run, wherever results are shown."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.utils.display import Display
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import Fault

READER, ON = "SLUICE_SUMMARY", "on"
"""The environment variable by which the callback of our playbooks says that it is there: it prints the lines of a
result, each once a run. Where a playbook of somebody else's uses the roles, the action does it itself."""


TOLD = "told"


def lines(values: Mapping[str, Any]) -> list[str]:
    """What a result has to say."""
    return list((values.get("invocation") or {}).get(TOLD) or ())


def result(faults: Sequence[Fault], head: str) -> dict[str, Any]:
    """The result of a task that found ``faults``: with one that is more than a warning it has failed.

    ``head`` says so. ``warnings``, which Ansible would print itself, is not used: with ``display_ok_hosts = False`` it
    prints none of those, and folds and repeats the others.
    """
    wrong = [str(fault) for fault in faults if not fault.warning]
    warnings = [str(fault) for fault in faults if fault.warning]
    # Among a task's arguments, since callbacks that print the whole result leave these out.
    found: dict[str, Any] = {"changed": False, "invocation": {TOLD: [*wrong, *warnings]}}
    if wrong:
        found |= {"failed": True, "msg": head}
    if os.environ.get(READER) != ON:
        if wrong:
            found["msg"] = "\n".join([head, *wrong])
        for line in warnings:
            Display().display(line, color="bright purple", stderr=True)
    return found
