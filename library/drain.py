#!/usr/bin/python
"""The module sluice.lb.drain."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Take endpoints out of service on a node, or the node itself, and bring them back
description:
  - Of endpoints, new connections go to others, established ones go on. It is so until the endpoints are brought back,
    whatever health checks say, and after a reboot as well.
  - The node's files stay as they are, and so do other Services.
options:
  addresses:
    description: The addresses of the endpoints. Either these or O(node=true) are needed.
    type: list
    elements: str
    default: []
  node:
    description:
      - The node itself is meant. Routers that ask for its health are told to send it nothing, until it is brought back,
        and after a reboot as well. Its rules stay, and serve whoever still comes.
    type: bool
    default: false
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

- name: Have routers leave the load balancer
  sluice.lb.drain:
    node: true
"""

RETURN = r"""
out:
  description: What is out of service on the node then, a line each.
  returned: for endpoints
  type: list
  elements: str
node_drained:
  description: Whether routers are told to send nothing to the node then.
  returned: for the node itself
  type: bool
"""

import gc
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice import addresses
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import delivery, drain, origin
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "addresses": {"type": "list", "elements": "str", "default": []},
            "node": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["drained", "serving"], "default": "drained"},
            "origin": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    gc.disable()  # builds large trees, and ends
    if bool(module.params["addresses"]) == module.params["node"]:
        module.fail_json(msg="either addresses of endpoints or node: true is needed")
    try:
        done = _drain_node(module) if module.params["node"] else _drain_endpoints(module)
    except NodeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**done)


def _drain_node(module: AnsibleModule) -> dict[str, Any]:
    drained = module.params["state"] == "drained"
    by = origin.of_ansible(module.params["origin"])
    changed = drain.node(drained=drained, check=module.check_mode, origin=by)
    words = {False: "the node serves\n", True: "the node is drained\n"}
    shown = [{"before": words[not drained], "after": words[drained]}] if changed and module._diff else []
    return {"changed": changed, "node_drained": drained, "diff": shown}


def _drain_endpoints(module: AnsibleModule) -> dict[str, Any]:
    given = module.params
    found = {text: addresses.address(text) for text in given["addresses"]}
    wrong = [text for text, address in found.items() if not address]
    if wrong:
        module.fail_json(msg=f"not an IP address: {', '.join(wrong)}")
    change = drain.drain if given["state"] == "drained" else drain.undrain
    result = change(found.values(), check=module.check_mode, origin=origin.of_ansible(given["origin"]))
    for warning in result.warnings:
        module.warn(warning)
    rules = None if module._verbosity else 0
    shown = delivery.Brought(result).diff(rules) if module._diff else []
    return {"changed": bool(result.changed or result.out != result.out_before), "out": list(result.out), "diff": shown}


if __name__ == "__main__":
    main()
