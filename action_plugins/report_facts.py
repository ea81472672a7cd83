"""The action of sluice.lb.report_facts: keeps what a node tells in a file, out of Ansible's variables."""

from __future__ import annotations

import os
from tempfile import mkstemp
from typing import Any

from ansible.constants import DEFAULT_LOCAL_TMP
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """One run of the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        found: dict[str, Any] = self._execute_module(module_args=self._task.args, task_vars=task_vars)
        packed = found.pop("packed", None)
        if isinstance(packed, str):
            descriptor, found["file"] = mkstemp(dir=DEFAULT_LOCAL_TMP, prefix="sluice-report-")
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(packed)
        return found
