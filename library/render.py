#!/usr/bin/python
"""The documentation of sluice.lb.render. All of it is done by the action, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: render
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Render the files of one node on the controller
description:
  - Takes the path of the catalogue, not the catalogue. At thousands of Services, variables would cost Ansible half a
    minute.
  - Each file goes through the template of its name, C(NAME.j2), of the role that calls it; there, the variable
    C(rendered) has the text of every file by name.
  - Runs in Ansible's own process. No node is asked, and no module runs.
  - Without O(kernel), as where no node was asked, a warning says where the files name the node's addresses and
    C(sluice_node_addresses) is not in the inventory.
options:
  catalogue:
    description:
      - A compiled catalogue, from M(sluice.lb.catalogue).
      - Refused where it is damaged, or where another user could have written it or may write its folder.
    type: path
    required: true
  settings:
    description: The node's settings, from P(sluice.lb.settings#filter).
    type: dict
    required: true
  kernel:
    description: The release of the node's Linux, C(node.kernel) of M(sluice.lb.node_facts), for RV(needs).
    type: list
    elements: int
  path:
    description:
      - The folder for the files on the controller; made where it is missing. Files in it that another backend or
        address family has left are removed.
      - Without it, the files go to a folder that ends with the run, also in check mode.
    type: path
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
    platforms: posix
"""

EXAMPLES = r"""
- name: Render the node's files
  sluice.lb.render:
    catalogue: .sluice/catalogue.json
    settings: "{{ node_settings }}"
  register: rendered
"""

RETURN = r"""
path:
  description: The folder of the files, on the controller.
  returned: success
  type: str
needs:
  description: What the node needs beside the files.
  returned: when O(kernel) is given
  type: dict
  contains:
    modules:
      description: Kernel modules.
      type: list
      elements: str
    module_options:
      description: Values of kernel modules' parameters, by module and parameter.
      type: dict
    sysctls:
      description: Values by sysctl.
      type: dict
    devices:
      description: Devices that network managers are to leave alone.
      type: list
      elements: str
"""
