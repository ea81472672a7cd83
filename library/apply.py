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
  - With O(source), puts a controller's files in place first. Only those that differ are sent.
  - Files in O(path) that another backend or address family has left are removed.
  - The same code as C(sluice apply).
options:
  path:
    description: The folder of the node's files; made where it is missing.
    type: path
    default: /etc/sluice
  source:
    description:
      - A folder of the controller that holds all files of the node, from M(sluice.lb.render).
      - In check mode nothing is written, and the prediction is about these files.
    type: path
  generation:
    description:
      - With O(state=previous), the generation to put back, of those that C(sluice history) lists. Without it, the one
        before the one in force; but not one without Services.
    type: int
  origin:
    description: Who runs the play, and the node's name in the inventory. The task need not give it.
    type: dict
  checksums:
    description: SHA-256 of each file in O(source), by name. The task need not give it.
    type: dict
  confirm_timeout:
    description:
      - Seconds after which the node takes the change back by itself, unless it is confirmed. V(0) is off.
      - The task confirms it over a new connection to the node, as M(sluice.lb.confirm) does. Where that fails, it waits
        until the node has taken the change back, and fails.
      - The timer is the node's own, a transient unit of systemd or else a process; it needs the C(sluice) command.
    type: int
    default: 0
  state:
    description:
      - With V(absent), everything of Sluice leaves the kernel.
      - With V(previous), an earlier generation is put back, and its files in O(path); or what was before a change that
        waits for its confirmation.
    type: str
    choices: [present, absent, previous]
    default: present
  diff_rules:
    description:
      - How many lines of rules C(--diff) shows below what changes by Service. With C(-v) it shows all.
    type: int
    default: 0
  force:
    description:
      - Take the files in O(path) as they are, also where they are not what Sluice wrote. Without it, files that were
        cut off or edited by hand are refused.
    type: bool
    default: false
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
    details: >-
      Shows what changes by Service, C(settings.json), and of the rules what changes in the kernel, chain by chain
      (O(diff_rules)). What is the same on several nodes is shown for one of them.
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Apply the files that are on the node
  sluice.lb.apply:
    path: /etc/sluice

- name: Render the node's files
  sluice.lb.render:
    catalogue: .sluice/catalogue.json
    settings: "{{ node_settings }}"
  register: rendered

- name: Bring them to the node and apply them
  sluice.lb.apply:
    source: "{{ rendered.path }}"
"""

RETURN = r"""
msg:
  description: Which generation is put back, of when, by whom, and how many Services it has.
  returned: when O(state=previous)
  type: str
variant:
  description: The variant of iptables that is used, V(nft) or V(legacy).
  returned: success
  type: str
taken_back:
  description: That the node has taken the change back, or is going to, as it was not confirmed.
  returned: on failure, where that is so
  type: bool
counts:
  description:
    - How many chains were added, modified and removed; lines and bytes that were sent to the kernel; UDP flows that
      were deleted because their endpoint is gone.
  returned: success
  type: dict
pending:
  description: Whether the change waits to be confirmed; after the task none does.
  returned: success
  type: bool
backend:
  description: The backend that the node is to have, or V("") for none.
  returned: success
  type: str
former_backend:
  description: The backend that was in force before, V("") for none.
  returned: success
  type: str
generation:
  description: The number of the generation in force, which RV(services) were compared with in check mode.
  returned: success
  type: int
services:
  description: What changed by Service, or in check mode would change, one line per Service and service port.
  returned: success
  type: list
  elements: str
  sample: ["shop/web:http: + 10.78.0.24:8080, - 10.78.0.21:8080"]
out:
  description: What is out of service on the node, a line each, since it is down or drained.
  returned: success
  type: list
  elements: str
  sample: ["10.78.0.21:8080 is down", "10.78.0.22 is drained"]
differences:
  description: In check mode, how the kernel differs, one line per chain and per rule.
  returned: success
  type: list
  elements: str
"""

import gc
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import (
    apply,
    delivery,
    difference,
    files,
    origin,
    state,
    unrouted,
)
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node.result import Result
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/sluice"},
            "source": {"type": "path"},
            "generation": {"type": "int"},
            "origin": {"type": "dict"},
            "checksums": {"type": "dict"},
            "confirm_timeout": {"type": "int", "default": 0},
            "diff_rules": {"type": "int", "default": 0},
            "force": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent", "previous"], "default": "present"},
        },
        supports_check_mode=True,
    )
    gc.disable()  # builds large trees, and ends
    given, check = module.params, module.check_mode
    by = origin.of_ansible(given["origin"])
    try:
        if given["state"] == "absent":
            brought = delivery.Brought(apply.remove(check=check, origin=by))
        elif given["state"] == "previous":
            brought = delivery.Brought(_back(given, by, check=check))
        else:
            confirm = given["confirm_timeout"]
            brought = delivery.bring(given["path"], _wanted(module), check=check, confirm=confirm, origin=by)
        if not check and not brought.kernel.pending:
            state.forget_note()  # node_facts has reported it
    except NodeError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    result = brought.kernel
    without_route = unrouted.warning(unrouted.unrouted(result.wanted), by.detail or "this node")
    for warning in filter(None, [*result.warnings, without_route]):
        module.warn(warning)
    module.exit_json(
        changed=brought.changed,
        backend=difference.backend(result.wanted),
        former_backend=difference.backend(result.before),
        generation=state.active(),
        services=result.services(),
        out=list(result.out),
        differences=result.diff() if check else [],
        **result.details,
        counts=result.counts(),
        pending=result.pending,
        **({"msg": result.headline} if result.headline else {}),
        diff=brought.diff(None if module._verbosity else given["diff_rules"]) if module._diff else [],
    )


def _back(given: dict[str, Any], by: origin.Origin, *, check: bool) -> Result:
    """Put the generation back that is asked for."""
    # Here, since an apply starts faster without.
    from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import rollback

    return rollback.roll_back(given["path"], to=given["generation"], check=check, origin=by)


def _wanted(module: AnsibleModule) -> files.Wanted:
    """What the files say. Ends the module, with their names, where some have to be sent first."""
    path, source, checksums = (module.params[name] for name in ("path", "source", "checksums"))
    if checksums is None:
        return files.load(path, force=module.params["force"])
    gathered = delivery.gather(checksums, [path, source] if source else [path])
    if gathered.lacking and source:
        module.fail_json(msg=f"{path} has changed while it was compared: {', '.join(gathered.lacking)}")
    if gathered.lacking:
        module.exit_json(changed=False, lacking=gathered.lacking)
    return files.parse(gathered.contents, path)


if __name__ == "__main__":
    main()
