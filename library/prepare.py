#!/usr/bin/python
"""The module sluice.lb.prepare."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prepare
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Prepare a node for its first apply
description:
  - Sets sysctls and loads kernel modules, now and at each boot, by C(/etc/sysctl.d/90-sluice.conf) and
    C(/etc/modules-load.d/sluice.conf). A module that the kernel has built in is left alone. One that it does not have
    is an error that names it, and nothing is changed.
  - Gives kernel modules options by C(/etc/modprobe.d/sluice.conf). A module that is loaded with others is loaded anew
    if nobody uses it, else a warning says what is in force.
  - Tells NetworkManager and systemd-networkd which devices are not theirs.
  - Installs the engine and the C(sluice) command, which every module carries with it, so that whoever logs in to the
    node can use them without Ansible. C(man sluice) and what bash and zsh complete come with them. Where systemd runs
    the node, a unit restores the rules at boot, before the network is up.
  - Needs nothing but Python's standard library.
options:
  sysctls:
    description: Values by sysctl. A V(*) in its name stands for all interfaces.
    type: dict
    default: {}
  modules:
    description: Names of kernel modules.
    type: list
    elements: str
    default: []
  module_options:
    description: Values of kernel modules' parameters, by module and parameter.
    type: dict
    default: {}
  unmanaged_devices:
    description: Devices that NetworkManager and systemd-networkd are to leave alone.
    type: list
    elements: str
    default: []
  conntrack_max:
    description:
      - Connections that conntrack is to have room for. V(auto) is by processors and memory; V(0) leaves it as it is.
      - Only raised, never lowered. In a network namespace that may not set it, it stays as it is, with a warning if it
        is a number.
    type: str
    default: "0"
  repair_seconds:
    description: How often the node looks for drift and repairs it by itself; V(0) is never. Needs systemd.
    type: int
    default: 0
  metrics_file:
    description:
      - Where the node writes its numbers for node_exporter, a file C(*.prom) that changes all at once. Needs systemd.
      - A file that was written before and is not any more is removed.
    type: str
    default: ""
  metrics_seconds:
    description: How often it writes them.
    type: int
    default: 60
  health:
    description:
      - Whether the node asks endpoints if they answer, by two processes that run all the time. One has no privileges,
        and a user of the system, C(sluice-health), which is made where the node has the means.
      - Where systemd does not run the node, each process has a loop that starts it again.
    type: bool
    default: false
  state:
    description:
      - With V(absent), the command and all files are removed, and the user if it was made here. Modules and values in
        the running kernel stay, since nobody knows who else needs them.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [ansible.builtin.action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: Shows all files but those of the engine.
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Forward packets, and install the sluice command
  sluice.lb.prepare:
    sysctls: {net.ipv4.ip_forward: "1"}
"""

RETURN = r"""
loaded:
  description: Modules that were loaded, or in check mode would be.
  returned: success
  type: list
  elements: str
version:
  description: The engine's version.
  returned: success
  type: str
"""

import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils import sluice
from ansible_collections.sluice.lb.plugins.module_utils.sluice import __main__ as _entry  # noqa: F401  ships the command with the engine
from ansible_collections.sluice.lb.plugins.module_utils.sluice import command
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import delivery as _delivery  # noqa: F401  for the module apply
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import facts as _facts  # noqa: F401  for node_facts
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import installation, preparation, units
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system import linux
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sysctls": {"type": "dict", "default": {}},
            "modules": {"type": "list", "elements": "str", "default": []},
            "module_options": {"type": "dict", "default": {}},
            "unmanaged_devices": {"type": "list", "elements": "str", "default": []},
            "conntrack_max": {"type": "str", "default": "0"},
            "repair_seconds": {"type": "int", "default": 0},
            "metrics_file": {"type": "str", "default": ""},
            "metrics_seconds": {"type": "int", "default": 60},
            "health": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    given, check = module.params, module.check_mode
    present = given["state"] == "present"
    sysctls = {name: str(value) for name, value in given["sysctls"].items()}
    options = {
        name: {parameter: str(value) for parameter, value in values.items()}
        for name, values in given["module_options"].items()
    }
    needed = (given["modules"], sysctls, given["unmanaged_devices"], options) if present else ((), {}, (), {})
    room = given["conntrack_max"] if present else "0"
    if not (room == preparation.AUTO or (room.isascii() and room.isdigit())):
        module.fail_json(msg=f"conntrack_max: must be auto or a whole number, is {room!r}")
    try:
        prepared = preparation.prepare(*needed, conntrack_max=room, check=check)
        installed = installation.change(
            sluice,
            sys.executable,
            present=present,
            systemd=linux.has_systemd(),
            repair_seconds=given["repair_seconds"],
            health=given["health"],
            metrics=units.Metrics(given["metrics_file"], given["metrics_seconds"]),
            documents=command.documents(),
        )
        if installed and not check:
            installation.perform(installed)
    except NodeError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    lines = [*(f"module {name}: loaded" for name in prepared.loaded), *installed.lines()]
    told = [{"prepared": "".join(f"{line}\n" for line in lines)}] if lines else []
    for warning in prepared.warnings:
        module.warn(warning)
    module.exit_json(
        changed=prepared.changed or bool(installed),
        loaded=prepared.loaded,
        version=sluice.__version__,
        diff=[*prepared.diff, *told],
    )


if __name__ == "__main__":
    main()
