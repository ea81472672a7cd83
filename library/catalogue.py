#!/usr/bin/python
"""The documentation of sluice.lb.catalogue. All of it is done by the action, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: catalogue
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Validate the catalogue of Services and compile it into one file
description:
  - Reads manifests, joins them with the inventory's hosts, checks all of it, and writes what M(sluice.lb.render) reads.
  - Runs in Ansible's own process on the controller, once per run. No node is asked, and no module runs.
  - Every fault is reported, one line each, and nothing is written then.
  - What a run compiled is kept by the hash of everything that went in, so a catalogue that has not changed costs its
    reading. What is damaged, or may have been written by another user, is compiled anew.
  - Services that declare no cluster IP, node port or load balancer's address are given one, and keep it by a file of
    allocations. The task has changed where that file has.
  - Callbacks do not get what is inline. Objects of kinds that Sluice does not know go nowhere.
options:
  paths:
    description: Files and folders of manifests, YAML or JSON.
    type: list
    elements: path
    default: []
  optional:
    description: Whether paths that do not exist are left out instead of being a fault.
    type: bool
    default: false
  manifests:
    description: The same objects inline, for small catalogues.
    type: list
    elements: dict
    default: []
  endpoint_hosts:
    description: Inventory hosts that Services may select, from P(sluice.lb.endpoint_hosts#filter).
    type: list
    elements: dict
    default: []
  nodes:
    description: The settings of all nodes, from P(sluice.lb.nodes#filter).
    type: list
    elements: dict
    default: []
  found_addresses:
    description: Addresses that were found on nodes besides. No Service is given one of them.
    type: list
    elements: str
    default: []
  allocations:
    description:
      - The file that keeps what Services were given, C(allocations.yml) beside the inventory.
      - It is meant to be committed.
      - Without it, everything is chosen by the hash of the Service's name.
      - Where it cannot be written, a warning says which Services may move.
    type: path
    default: ""
  path:
    description:
      - Where the compiled catalogue goes; folders are made.
      - The file's own folder must be one that only its owner, who runs Ansible or is root, may write.
    type: path
    required: true
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
    details:
      - What is compiled is a cache beside the run, so it is written in check mode, too. The file of allocations is not.
  diff_mode:
    support: full
  platform:
    platforms: posix
"""

EXAMPLES = r"""
- name: Compile the catalogue
  sluice.lb.catalogue:
    paths: [services]
    allocations: allocations.yml
    path: .sluice/catalogue.json
  run_once: true
"""

RETURN = r"""
not_ready:
  description: How many of the endpoints are not ready.
  returned: success
  type: int
services:
  description: How many Services program rules.
  returned: success
  type: int
idle:
  description: How many Services program no rules, since they are headless or of type ExternalName.
  returned: success
  type: int
endpoints:
  description: How many endpoints the Services have that program rules.
  returned: success
  type: int
"""
