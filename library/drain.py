#!/usr/bin/python
"""The module sluice.lb.drain."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Take endpoints out of service on a node, or bring them back
description:
  - New connections go to other endpoints, established ones go on. It is so until the endpoints are brought back,
    whatever health checks say, and after a reboot as well.
  - The node's files stay as they are, and so do other Services.
options:
  addresses:
    description: The addresses of the endpoints.
    type: list
    elements: str
    required: true
  state:
    description: Whether they are out of service, or serve as the catalogue says.
    type: str
    choices: [drained, serving]
    default: drained
  origin:
    description: Who runs the play, and the node's name in the inventory. The task need not give it.
    type: dict
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
    support: full
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Send no new connections to a server
  sluice.lb.drain:
    addresses: [192.0.2.21]

- name: Have it serve again
  sluice.lb.drain:
    addresses: [192.0.2.21]
    state: serving
"""

RETURN = r"""
out:
  description: What is out of service on the node then, a line each.
  returned: success
  type: list
  elements: str
"""

import gc

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice import addresses
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import delivery, drain, origin
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "addresses": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "serving"], "default": "drained"},
            "origin": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    gc.disable()  # builds large trees, and ends
    given = module.params
    found = {text: addresses.address(text) for text in given["addresses"]}
    wrong = [text for text, address in found.items() if not address]
    if wrong:
        module.fail_json(msg=f"not an IP address: {', '.join(wrong)}")
    change = drain.drain if given["state"] == "drained" else drain.undrain
    try:
        result = change(found.values(), check=module.check_mode, origin=origin.of_ansible(given["origin"]))
    except NodeError as error:
        module.fail_json(msg=str(error))
    for warning in result.warnings:
        module.warn(warning)
    rules = None if module._verbosity else 0
    shown = delivery.Brought(result).diff(rules) if module._diff else []
    module.exit_json(changed=bool(result.changed or result.out != result.out_before), out=list(result.out), diff=shown)


if __name__ == "__main__":
    main()
