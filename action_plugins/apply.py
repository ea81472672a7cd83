"""The action of sluice.lb.apply: compares a controller's files with the node's, and sends those that differ."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import origin


def checksums(folder: str) -> dict[str, str]:
    """SHA-256 of each file in ``folder``, in hexadecimal, by name. Raises OSError."""
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as stream:
            found[name] = hashlib.sha256(stream.read()).hexdigest()
    return found


class ActionModule(ActionBase):
    """One run of the module where nothing is to be sent, else a second one with what was sent."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = {**self._task.args, "origin": origin.of_run(task_vars or {})}
        source = arguments.pop("source", None)
        if source is not None:
            try:
                arguments["checksums"] = checksums(source)
            except OSError as error:
                return {"failed": True, "msg": f"source: {error.filename}: {error.strerror}"}
        result = self._execute_module(module_args=arguments, task_vars=task_vars)
        lacking = result.get("lacking")
        if lacking:
            # The temporary folder goes when the task ends (ActionBase.cleanup).
            arguments["source"] = self._send(source, lacking)
            result = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result

    def _send(self, source: str, names: Iterable[str]) -> str:
        """Send files of the folder ``source`` to a temporary folder of the node; returns that folder."""
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        sent = [
            self._transfer_file(os.path.join(source, name), self._connection._shell.join_path(folder, name))
            for name in names
        ]
        self._fixup_perms2([folder, *sent])
        return folder
