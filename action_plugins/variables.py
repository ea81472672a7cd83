"""The action of sluice.lb.variables: works in Ansible's own process on the controller, no node is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.sluice.lb.plugins.module_utils.sluice.backends.registry import BACKENDS
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import Fault, InputError, strictly
from ansible_collections.sluice.lb.plugins.module_utils.sluice.settings import PREFIX, from_variables, unknown
from ansible_collections.sluice.lb.plugins.plugin_utils import told

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # ansible-core before 2.19
    Origin = None

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
                    found[(*_place(hostvars, host, name), name, message, True)].append(host)
        strict = False
        for host in task_vars.get("ansible_play_hosts_all", ()):
            given = {key: hostvars[host][key] for key in hostvars[host] if str(key).startswith(PREFIX)}
            try:
                strict |= from_variables(given, backends=BACKENDS)[0].strict
            except InputError as error:
                for fault in error.faults:
                    if not fault.warning:
                        place = _place(hostvars, host, fault.field)
                        found[(*place, fault.field, fault.message, False)].append(host)
        faults = [
            Fault(file, line, _hosts(hosts), field, message, warning)
            for (file, line, field, message, warning), hosts in found.items()
        ]
        return told.result(strictly(faults) if strict else faults, "The settings are not valid; nothing was changed.")


def _hosts(names: Iterable[str]) -> str:
    several = list(names)
    more = f" and {len(several) - NAMED} more" if several[NAMED:] else ""
    return f"host{'s' if several[1:] else ''} {', '.join(several[:NAMED])}{more}"


def _place(hostvars: Mapping[str, Any], host: str, name: str) -> tuple[str, int]:
    """The file and line at which a variable stands, where Ansible knows them."""
    raw = getattr(hostvars, "raw_get", hostvars.get)(host)
    pair = next(((key, raw[key]) for key in raw if key == name), ()) if isinstance(raw, Mapping) else ()
    for part in pair:  # true, false and numbers know nothing of where they are from
        origin = Origin.get_tag(part) if Origin else None
        if origin and origin.path:
            return str(origin.path), int(origin.line_num or 0)
        file, line, _column = getattr(part, "ansible_pos", None) or ("", 0, 0)
        if file:
            return str(file), int(line)
    return "inventory", 0
