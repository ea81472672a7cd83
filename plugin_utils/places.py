"""Where a host's variable stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import Fault

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # ansible-core before 2.19
    Origin = None

HOST = "host "
DEFAULTS = {"sluice_endpoint_ip": "ansible_host"}
"""The variable that counts where the one of Sluice is not written."""


def place(hostvars: Mapping[str, Any], host: str, name: str) -> tuple[str, int]:
    """The file and line at which a variable stands, where Ansible knows them; else ``inventory`` and 0.

    One of the command line is not the inventory's: ``--extra-vars`` and 0, unless a file was given there.
    """
    extra = load_extra_vars(DataLoader())  # Ansible keeps them: nothing is read again
    typed = name in extra
    raw = extra if typed else getattr(hostvars, "raw_get", hostvars.get)(host)
    pair = next(((key, raw[key]) for key in raw if key == name), ()) if isinstance(raw, Mapping) else ()
    for part in pair:  # true, false and numbers know nothing of where they are from
        origin = Origin.get_tag(part) if Origin else None
        if origin and origin.path:
            return str(origin.path), int(origin.line_num or 0)
        file, line, _column = getattr(part, "ansible_pos", None) or ("", 0, 0)
        if file:
            return str(file), int(line)
    if not pair and name in DEFAULTS:
        return place(hostvars, host, DEFAULTS[name])
    return "--extra-vars" if typed else "inventory", 0


def placed(fault: Fault, hostvars: Mapping[str, Any]) -> Fault:
    """``fault``, with file and line if it is of a variable of an inventory host: the engine knows its value only."""
    host = fault.subject.removeprefix(HOST)
    if fault.line or host == fault.subject or host not in hostvars:
        return fault
    file, line = place(hostvars, host, fault.field)
    return fault._replace(file=file, line=line)
