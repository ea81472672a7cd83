#!/usr/bin/python
"""The documentation of sluice.lb.variables. All of it is done by the action, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: variables
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Check the inventory variables of Sluice
description:
  - Says which C(sluice_) variables of any host of the inventory no part of Sluice knows, and which one may be meant.
  - Fails where a setting of a host of the play holds what it may not, with one line for each fault and all hosts.
  - Names the file and the line of a variable where Ansible knows them.
  - Runs in Ansible's own process on the controller, once per run. No node is asked, and no module runs.
options: {}
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
- name: Check the settings
  sluice.lb.variables:
  run_once: true
"""

RETURN = r"""
"""
