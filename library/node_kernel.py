#!/usr/bin/python
"""The module sluice.lb.node_kernel."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_kernel
author: The Sluice authors
version_added: 0.1.0
short_description: The sysctls and kernel modules that a load balancer needs, now and after a reboot
description:
  - Sets sysctls and loads modules, and writes C(/etc/sysctl.d/90-sluice.conf) and C(/etc/modules-load.d/sluice.conf).
  - A module that the kernel has built in, or does not have, is left alone.
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
  state:
    description:
      - With V(absent) both files go; values in the running kernel stay, since nobody knows who else needs them.
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
  description: Modules that were loaded.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice import node, owned_files


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sysctls": {"type": "dict", "default": {}},
            "modules": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    present = module.params["state"] == "present"
    sysctls = {name: str(value) for name, value in module.params["sysctls"].items()}
    modules = module.params["modules"]
    wanted = {
        node.SYSCTL_FILE: node.sysctl_text(sysctls) if present and sysctls else None,
        node.MODULES_FILE: node.modules_text(module.params["modules"])
        if present and module.params["modules"]
        else None,
    }
    differing = {name: value for name, value in sysctls.items() if present and node.sysctl(name) not in (value, None)}
    missing = [name for name in modules if present and not node.module_loaded(name)]
    before = "".join(f"{name} = {node.sysctl(name)}\n" for name in differing)
    after = "".join(f"{name} = {value}\n" for name, value in differing.items())
    changed_files = owned_files.differing(wanted)
    diff = owned_files.diff(changed_files)
    if differing:
        diff.append({"before_header": "sysctl", "after_header": "sysctl", "before": before, "after": after})
    loaded = []
    try:
        if not module.check_mode:
            loaded = [name for name in missing if node.load_module(name)]
            for name, value in differing.items():
                node.set_sysctl(name, value)
            owned_files.write(changed_files)
    except (OSError, node.NodeError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changed_files or differing or loaded), loaded=loaded, diff=diff)


if __name__ == "__main__":
    main()
