"""The action of sluice.lb.apply: sends the files that differ, and keeps a change over a new connection.

Both belong to one task, since the nodes of a run wait for each other between two: one that is cut off or fails would
let the time pass in which the others have to be confirmed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from typing import Any

from ansible.constants import DEFAULT_LOCAL_TMP
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import origin

_PATIENCE = 30
"""Seconds beyond a change's deadline in which a node that was cut off comes back, as it takes the change back."""


def checksums(folder: str) -> dict[str, str]:
    """SHA-256 of each file in ``folder``, in hexadecimal, by name. Raises OSError."""
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as stream:
            found[name] = hashlib.sha256(stream.read()).hexdigest()
    return found


def once(diff: list[dict[str, Any]], host: str, folder: str) -> list[dict[str, Any]]:
    """``diff``, or where another host of this run has the same one, a line that names it.

    Each host's task is a process of its own: they meet in ``folder``, the run's temporary one. A link is there with
    its target at once, so one host has it and all others read its name.
    """
    digest = hashlib.sha256(json.dumps(diff, sort_keys=True).encode()).hexdigest()
    path = os.path.join(folder, f"sluice-diff-{digest}")
    try:
        os.symlink(host, path)
        first = host
    except OSError:
        first = os.readlink(path) if os.path.islink(path) else host
    return diff if first == host else [{"prepared": f"the same as on {first}\n"}]


class ActionModule(ActionBase):
    """One run of the module where nothing is to be sent, a second one with what was sent, and the confirmation."""

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
        if result.get("pending"):
            kept = self._confirmed(int(arguments["confirm_timeout"]), arguments["origin"], task_vars)
            result = kept if kept.get("failed") else {**result, **kept}
        if result.get("diff"):
            result["_ansible_verbose_override"] = True  # -v shows the same again, as a list
            result["diff"] = once(result["diff"], str((task_vars or {}).get("inventory_hostname")), DEFAULT_LOCAL_TMP)
        return result

    def _confirmed(self, seconds: int, by: dict[str, str], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Keep the change: what is new in the result, or all of it where the node has taken the change back.

        Only a new connection proves that the node can still be reached, so the one that there is is closed first.
        """
        began = time.monotonic()
        while True:
            try:
                if type(self._connection).reset is not ConnectionBase.reset:  # else there is none to close
                    self._connection.reset()
                kept: dict[str, Any] = self._execute_module(
                    module_name="sluice.lb.confirm", module_args={"origin": by}, task_vars=task_vars
                )
                reason = str(kept.get("msg"))
                break
            except AnsibleConnectionFailure as error:
                kept, reason = {"failed": True}, f"no new connection could be made: {error}"
                if time.monotonic() - began > seconds + _PATIENCE:
                    break
                time.sleep(1)
        took = time.monotonic() - began
        if not kept.get("failed"):
            return {"pending": False}
        if took > seconds:
            reason += f"; no new connection could be made for {took:.0f} s: the change may have cut the node off"
        return {"failed": True, "taken_back": True, "msg": reason}

    def _send(self, source: str, names: Iterable[str]) -> str:
        """Send files of the folder ``source`` to a temporary folder of the node; returns that folder."""
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        sent = [
            self._transfer_file(os.path.join(source, name), self._connection._shell.join_path(folder, name))
            for name in names
        ]
        self._fixup_perms2([folder, *sent])
        return folder
