"""The action of sluice.lb.catalogue: works in Ansible's own process on the controller, where PyYAML is."""

from __future__ import annotations

import gc
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.sluice.lb.plugins.module_utils.sluice import render
from ansible_collections.sluice.lb.plugins.module_utils.sluice.catalogue import compilation
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import InputError
from ansible_collections.sluice.lb.plugins.module_utils.sluice.settings import from_variables
from ansible_collections.sluice.lb.plugins.plugin_utils import told
from ansible_collections.sluice.lb.plugins.plugin_utils.places import placed

OPTIONS = {
    "paths": {"type": "list", "elements": "path", "default": []},
    "optional": {"type": "bool", "default": False},
    "manifests": {"type": "list", "elements": "dict", "default": []},
    "endpoint_hosts": {"type": "list", "elements": "dict", "default": []},
    "nodes": {"type": "list", "elements": "dict", "default": []},
    "found_addresses": {"type": "list", "elements": "str", "default": []},
    "allocations": {"type": "path", "default": ""},
    "path": {"type": "path", "required": True},
}


class ActionModule(ActionBase):
    """One call of the engine."""

    _given: dict[str, Any] | None = None

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        gc.disable()  # builds large trees, in a process that ends with the task
        given = self._arguments()
        try:
            checks = render.checks_for([from_variables(node)[0] for node in given["nodes"]])
            known = dict.fromkeys([*checks.node_addresses, *given["found_addresses"]])
            done = compilation.compile_catalogue(
                given["paths"],
                given["path"],
                manifests=given["manifests"],
                hosts=given["endpoint_hosts"],
                checks=checks._replace(inventory=True, node_addresses=tuple(known)),
                optional=given["optional"],
                allocations=given["allocations"],
                check=self._task.check_mode,
            )
        except InputError as error:
            hostvars = (task_vars or {}).get("hostvars", {})
            faults = [placed(fault, hostvars) for fault in error.faults]
            return told.result(faults, "The catalogue is not valid; nothing was changed.")
        except OSError as error:
            return {"failed": True, "msg": f"{error.filename}: {error.strerror}"}
        return {
            **told.result(done.warnings, ""),
            "changed": bool(done.diff),
            "diff": list(done.diff),
            "services": done.services,
            "idle": done.idle,
            "endpoints": done.endpoints,
            "not_ready": done.not_ready,
        }

    def _arguments(self) -> dict[str, Any]:
        """The arguments, checked. The task keeps those that hold no content.

        Callbacks get a task's arguments with its result, and some print or keep them. What is inline may be anything:
        a Secret beside the Services, say.
        """
        if self._given is None:  # a task with `until` comes here again
            _result, self._given = self.validate_argument_spec(OPTIONS)
            content = {name for name, option in OPTIONS.items() if option.get("elements") == "dict"}
            self._task.args = {name: value for name, value in self._task.args.items() if name not in content}
        return self._given
