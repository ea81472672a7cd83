"""The action of sluice.lb.variables: works in Ansible's own process on the controller, no node is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.sluice.lb.plugins.module_utils.sluice import variable_files
from ansible_collections.sluice.lb.plugins.module_utils.sluice.backends.registry import BACKENDS
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import Fault, InputError, strictly
from ansible_collections.sluice.lb.plugins.module_utils.sluice.settings import PREFIX, from_variables, unknown
from ansible_collections.sluice.lb.plugins.plugin_utils import told
from ansible_collections.sluice.lb.plugins.plugin_utils.places import place

NAMED = 5
"""So many hosts are named, the others counted."""


class ActionModule(ActionBase):
    """What is wrong with the variables of hosts: of all of them names, of this play's values too."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        task_vars = task_vars or {}
        hostvars: Mapping[str, Mapping[str, Any]] = task_vars["hostvars"]
        found: dict[tuple[Any, ...], list[str]] = defaultdict(list)
        for host in hostvars:
            for name in hostvars[host]:
                message = unknown(str(name)) if str(name).startswith(PREFIX) else ""
                if message:
                    found[(*place(hostvars, host, name), name, message, True)].append(host)
        strict = False
        for host in task_vars.get("ansible_play_hosts_all", ()):
            given = {key: hostvars[host][key] for key in hostvars[host] if str(key).startswith(PREFIX)}
            try:
                strict |= from_variables(given, backends=BACKENDS)[0].strict
            except InputError as error:
                for fault in error.faults:
                    if not fault.warning:
                        found[(*place(hostvars, host, fault.field), fault.field, fault.message, False)].append(host)
        sources, groups = (task_vars.get(name, ()) for name in ("ansible_inventory_sources", "groups"))
        faults = [fault for fault in variable_files.broken(sources) if fault.warning]
        faults += variable_files.unread(sources, groups, hostvars) + [
            Fault(file, line, _hosts(hosts), field, message, warning)
            for (file, line, field, message, warning), hosts in found.items()
        ]
        return told.result(strictly(faults) if strict else faults, "The settings are not valid; nothing was changed.")


def _hosts(names: Iterable[str]) -> str:
    several = list(names)
    more = f" and {len(several) - NAMED} more" if several[NAMED:] else ""
    return f"host{'s' if several[1:] else ''} {', '.join(several[:NAMED])}{more}"
