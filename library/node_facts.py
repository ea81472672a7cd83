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
    default: iptables
  ip_families:
    description: The address families that are programmed.
    type: list
    elements: str
    choices: [IPv4, IPv6]
    default: [IPv4, IPv6]
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
  register: node_found
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
    package_lists:
      description:
        - What the package manager knows of what it could install, V(current), V(old) or V(none).
        - apt knows nothing before its first update, and its mirrors drop packages that old lists name.
      type: str
    rivals:
      description: Processes of Kubernetes in this network namespace that program the same chains.
      type: list
      elements: str
    proxies:
      description: Service proxies that run in this network namespace, a line each that says how to stop it.
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
    connections:
      description: How many connections conntrack has, and how many there is room for.
      type: list
      elements: int
    obstacles:
      description: What of other programs keeps packets from Services, whatever Sluice does; a line each.
      type: list
      elements: str
    kernel:
      description: The release of the node's Linux, V([6, 1]).
      type: list
      elements: int
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice import addresses
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import facts
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "strict_arp": {"type": "bool", "default": False},
            "repairs": {"type": "bool", "default": False},
            "backend": {"type": "str", "default": "iptables"},
            "ip_families": {
                "type": "list",
                "elements": "str",
                "choices": list(addresses.FAMILIES),
                "default": list(addresses.FAMILIES),
            },
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg=f"needs root on the node, and is user {os.geteuid()}: ansible_become: true")
    try:
        found = facts.facts(module.params["backend"], module.params["ip_families"])
    except NodeError as error:
        module.fail_json(msg=str(error))
    given = module.params
    for warning in facts.warnings(found, given["backend"], strict_arp=given["strict_arp"], repairs=given["repairs"]):
        module.warn(warning)
    if module.check_mode and found["missing_packages"] and found["package_lists"] == "none":
        lacking = ", ".join(found["missing_packages"])
        module.warn(f"{lacking} would be installed, if there are such packages: this node has no lists of them yet")
    module.exit_json(changed=False, node=found)


if __name__ == "__main__":
    main()
