#!/usr/bin/python
"""The module sluice.lb.report_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report_facts
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: All that a node tells of itself, for a page about all nodes
description:
  - What C(sluice status) says, oddities of C(sluice explain), the service ports that the kernel holds with their
    endpoints and shares, and what the kernel has counted. Changes nothing.
  - The task keeps it in a file on the controller, which ends with the run. As a variable it would cost Ansible seconds
    at thousands of Services.
options:
  path:
    description: The folder of the node's files.
    type: path
    default: /etc/sluice
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.flow
attributes:
  action:
    support: full
  async:
    support: none
  bypass_host_loop:
    support: none
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Ask the node
  sluice.lb.report_facts:
  register: report_asked
"""

RETURN = r"""
file:
  description: The file on the controller, for M(sluice.lb.report).
  returned: success
  type: str
"""

import gc

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import InputError
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import report
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "default": "/etc/sluice"}}, supports_check_mode=True)
    gc.disable()  # builds large trees, and ends
    try:
        module.exit_json(changed=False, packed=report.packed(module.params["path"]))
    except (NodeError, InputError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
