#!/usr/bin/python
"""The documentation of sluice.lb.report. All of it is done by the action, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Write a page about all nodes, of what they told
description:
  - One HTML file, which needs no network to be looked at.
  - Runs once, in Ansible's own process, after M(sluice.lb.report_facts) has asked each node. No module runs.
  - A node that could not be asked is told on the page, and in RV(lost).
options:
  path:
    description: The file of the page on the controller, or a folder for C(sluice-report.html).
    type: path
    required: true
  asked:
    description: The variable that M(sluice.lb.report_facts) was registered as.
    type: str
    default: report_asked
  group:
    description:
      - The group whose hosts the page is about. Those that are not in the play are told as not asked.
    type: str
    default: load_balancers
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
    details: The page is written in check mode as well; it changes nothing that anybody is configured by.
  diff_mode:
    support: none
  platform:
    platforms: posix
"""

EXAMPLES = r"""
- name: Ask the node
  sluice.lb.report_facts:
  register: report_asked
  ignore_unreachable: true
  failed_when: false

- name: Write the page
  sluice.lb.report:
    path: sluice-report.html
  run_once: true
  register: report_written
"""

RETURN = r"""
path:
  description: The file of the page.
  returned: success
  type: str
bytes:
  description: How large it is.
  returned: success
  type: int
told:
  description: How many nodes told of themselves.
  returned: success
  type: int
lost:
  description: The nodes of the play that could not be asked, by name, each with the reason.
  returned: success
  type: dict
"""
