"""Actions that only tell their module who asks for what it does."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import origin


class AskedBy(ActionBase):
    """One run of the module of the same name."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = {**self._task.args, "origin": origin.of_run(task_vars or {})}
        found: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        return found
