#!/usr/bin/python
"""The module sluice.lb.node_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_facts
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: What Sluice has to know about a node before it configures it
description:
  - Addresses, missing packages, and what speaks against programming Services here. Changes nothing.
options:
  backend:
    description: The backend that the node is going to use.
    type: str
    choices: [iptables, ipvs]
    default: iptables
  strict_arp:
    description: Whether the node answers ARP only for addresses of the interface asked.
    type: bool
    default: false
  repairs:
    description: Whether the node repairs drift by itself.
    type: bool
    default: false
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
- name: Look at the node
  sluice.lb.node_facts:
  register: node
"""

RETURN = r"""
node:
  description: The facts.
  returned: always
  type: dict
  contains:
    addresses:
      description: All addresses of the node, loopback included.
      type: list
      elements: str
    ips:
      description: Its primary addresses, one a family.
      type: list
      elements: str
    missing_packages:
      description: Packages, by the distribution's names, whose commands are not there.
      type: list
      elements: str
    rivals:
      description: Processes of Kubernetes in this network namespace that program the same chains.
      type: list
      elements: str
    rolled_back:
      description: The note that a node took an unconfirmed change back, with C(time) and C(reason); null without one.
      type: dict
    systemd:
      description: Whether systemd runs the node.
      type: bool
    flushers:
      description: Services that take Sluice's rules away when they reload theirs.
      type: list
      elements: str
    announcers:
      description: Processes that answer ARP for addresses of Services, on one node at a time.
      type: list
      elements: str
    kernel:
      description: The release of the node's Linux, V([6, 1]).
      type: list
      elements: int
    prepared:
      description: Whether the folder of the node's files is there.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice.backends.registry import BACKENDS
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import facts
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "strict_arp": {"type": "bool", "default": False},
            "repairs": {"type": "bool", "default": False},
            "backend": {"type": "str", "choices": [*BACKENDS], "default": "iptables"},
        },
        supports_check_mode=True,
    )
    try:
        found = facts.facts(module.params["backend"])
    except NodeError as error:
        module.fail_json(msg=str(error))
    if found["rolled_back"]:
        note = found["rolled_back"]
        module.warn(f"the last change was taken back by the node at {note['time']}: {note['reason']}")
    if found["flushers"] and not module.params["repairs"]:
        names = ", ".join(found["flushers"])
        module.warn(f"a reload of {names} takes Sluice's rules away until the next apply; see sluice_repair_seconds")
    binds = any(layer.devices for layer in BACKENDS[module.params["backend"]].layers)
    if found["announcers"] and binds and not module.params["strict_arp"]:
        names = ", ".join(found["announcers"])
        module.warn(
            f"{names} announces addresses, but without sluice_ipvs_strict_arp every node answers ARP for all of them"
        )
    module.exit_json(changed=False, node=found)


if __name__ == "__main__":
    main()
