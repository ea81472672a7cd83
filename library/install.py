#!/usr/bin/python
"""The module sluice.lb.install."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The engine and the sluice command on a node
description:
  - Every module of Sluice carries the engine with it; this one unpacks it for good, so that whoever logs in to the
    node, and the unit that restores the rules at boot, can use it without Ansible.
  - Where systemd runs the node, a unit restores the rules at boot, before the network is up.
  - Needs nothing beside Python's standard library.
options:
  state:
    description: Whether the command is to be there.
    type: str
    choices: [present, absent]
    default: present
  repair_seconds:
    description:
      - How often the node looks for drift and repairs it by itself; V(0) is never. Needs systemd.
    type: int
    default: 0
extends_documentation_fragment: [ansible.builtin.action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Install the sluice command
  sluice.lb.install:
"""

RETURN = r"""
version:
  description: The engine's version.
  returned: always
  type: str
"""

import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils import sluice
from ansible_collections.sluice.lb.plugins.module_utils.sluice import __main__ as _entry  # noqa: F401  ships the command with the engine
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import installation
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system import linux


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "repair_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    change = installation.change(
        sluice,
        sys.executable,
        present=module.params["state"] == "present",
        systemd=linux.has_systemd(),
        repair_seconds=module.params["repair_seconds"],
    )
    if change and not module.check_mode:
        installation.perform(change)
    module.exit_json(changed=bool(change), version=sluice.__version__)


if __name__ == "__main__":
    main()
