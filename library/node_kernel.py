#!/usr/bin/python
"""The module sluice.lb.node_kernel."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_kernel
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The sysctls and kernel modules that a load balancer needs, now and after a reboot
description:
  - Sets sysctls and loads modules, and writes C(/etc/sysctl.d/90-sluice.conf) and C(/etc/modules-load.d/sluice.conf).
  - A module that the kernel has built in is left alone. One that it does not have is an error that names it, and
    nothing is changed.
  - Tells NetworkManager and systemd-networkd which devices are not theirs.
options:
  sysctls:
    description: Values by sysctl.
    type: dict
    default: {}
  modules:
    description: Names of kernel modules.
    type: list
    elements: str
    default: []
  unmanaged_devices:
    description: Devices that NetworkManager and systemd-networkd are to leave alone.
    type: list
    elements: str
    default: []
  state:
    description:
      - With V(absent) the files go; values in the running kernel stay, since nobody knows who else needs them.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [ansible.builtin.action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Forward packets
  sluice.lb.node_kernel:
    sysctls: {net.ipv4.ip_forward: "1"}
"""

RETURN = r"""
loaded:
  description: Modules that were loaded, or in check mode would be.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import preparation as node
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system import linux, owned_files
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sysctls": {"type": "dict", "default": {}},
            "modules": {"type": "list", "elements": "str", "default": []},
            "unmanaged_devices": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    given = module.params
    present = given["state"] == "present"
    sysctls = {name: str(value) for name, value in given["sysctls"].items()} if present else {}
    modules = given["modules"] if present else []
    wanted = {
        node.SYSCTL_FILE: node.sysctl_text(sysctls) if sysctls else None,
        node.MODULES_FILE: node.modules_text(modules) if modules else None,
        **node.unmanaged_files(given["unmanaged_devices"] if present else []),
    }
    lacking = [name for name in modules if linux.lacks_module(name)]
    if lacking:
        module.fail_json(msg=f"this node's kernel has no module {', '.join(lacking)}; nothing was changed")
    missing = [name for name in modules if not linux.module_present(name)]
    changed_files = owned_files.differing(wanted)
    diff = owned_files.diff(changed_files)
    try:
        # Modules first: they bring sysctls with them.
        loaded = missing if module.check_mode else [name for name in missing if linux.load_module(name)]
        differing = {name: value for name, value in sysctls.items() if linux.sysctl(name) not in (value, None)}
        before = "".join(f"{name} = {linux.sysctl(name)}\n" for name in differing)
        after = "".join(f"{name} = {value}\n" for name, value in differing.items())
        if differing:
            diff.append({"before_header": "sysctl", "after_header": "sysctl", "before": before, "after": after})
        if not module.check_mode:
            for name, value in differing.items():
                linux.set_sysctl(name, value)
            owned_files.write(changed_files)
            node.reload_networks(changed_files)
    except (OSError, NodeError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changed_files or differing or loaded), loaded=loaded, diff=diff)


if __name__ == "__main__":
    main()
