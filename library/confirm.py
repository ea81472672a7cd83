#!/usr/bin/python
"""The module sluice.lb.confirm."""

from __future__ import annotations

DOCUMENTATION = r"""
module: confirm
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Keep a change that would be taken back otherwise
description:
  - Stops the timer that M(sluice.lb.apply) armed. Call it over a new connection, since that is what proves that the
    node can still be reached.
  - Fails where the node has taken the change back already.
options:
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
    support: none
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Reach the node over a new connection
  ansible.builtin.wait_for_connection:
    timeout: 60

- name: Keep the change
  sluice.lb.confirm:
"""

RETURN = r"""
confirmed:
  description: Whether a change waited for this.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import confirmation, origin
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(argument_spec={"origin": {"type": "dict"}}, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False, confirmed=False)
    try:
        module.exit_json(changed=False, confirmed=confirmation.confirm(origin.of_ansible(module.params["origin"])))
    except NodeError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
