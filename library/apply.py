#!/usr/bin/python
"""The module sluice.lb.apply."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apply
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Bring a node's kernel to what its files say
description:
  - Compares what the kernel holds with the files, and changes what differs, chain by chain, in an order in which no
    packet meets half a change. Rules of others stay where they are.
  - The same code as C(sluice apply).
options:
  path:
    description: The folder that holds the files.
    type: path
    default: /etc/sluice
  files:
    description:
      - What the files would hold, by name, where they have not been written, as in check mode. Used instead of those in
        O(path).
    type: dict
  confirm_timeout:
    description:
      - Seconds after which the node takes the change back by itself, unless M(sluice.lb.confirm) keeps it. V(0) is off.
      - The timer is the node's own, a transient unit of systemd or else a process; it needs the C(sluice) command.
    type: int
    default: 0
  state:
    description:
      - With V(absent), everything of Sluice leaves the kernel.
      - With V(previous), the generation before this one is put back, and its files in O(path).
    type: str
    choices: [present, absent, previous]
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
- name: Apply the rules
  sluice.lb.apply:
    path: /etc/sluice
"""

RETURN = r"""
variant:
  description: The variant of iptables that is used, V(nft) or V(legacy).
  returned: success
  type: str
counts:
  description:
    - How many chains were added, modified and removed; lines and bytes that were sent to the kernel; UDP flows that
      were deleted because their endpoint is gone.
  returned: success
  type: dict
pending:
  description: Whether the change waits to be confirmed.
  returned: success
  type: bool
differences:
  description: In check mode, how the kernel differs, a line a chain and a line a rule.
  returned: success
  type: list
  elements: str
"""

import gc

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import apply, files, rollback, state
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/sluice"},
            "files": {"type": "dict"},
            "confirm_timeout": {"type": "int", "default": 0},
            "state": {"type": "str", "choices": ["present", "absent", "previous"], "default": "present"},
        },
        supports_check_mode=True,
    )
    gc.disable()  # builds large trees, and ends
    given = module.params
    try:
        if given["state"] == "absent":
            result = apply.remove(check=module.check_mode)
        elif given["state"] == "previous":
            result = rollback.roll_back(given["path"], check=module.check_mode)
        else:
            wanted = files.load(given["path"]) if given["files"] is None else files.parse(given["files"])
            result = apply.apply(wanted, check=module.check_mode, confirm=given["confirm_timeout"])
            if given["files"] is None and not module.check_mode:
                files.put(given["path"], wanted.contents)
        if not module.check_mode and not result.pending:
            state.forget_note()  # node_facts has told of it
    except NodeError as error:
        module.fail_json(msg=str(error))
    for warning in result.warnings:
        module.warn(warning)
    diff = {"prepared": "".join(f"{line}\n" for line in result.diff())} if module._diff else {}
    differences = result.diff() if module.check_mode else ()
    module.exit_json(
        changed=result.changed,
        differences=differences,
        **result.details,
        counts=result.counts(),
        pending=result.pending,
        diff=diff,
    )


if __name__ == "__main__":
    main()
