#!/usr/bin/python
"""The module sluice.lb.catalogue."""

from __future__ import annotations

DOCUMENTATION = r"""
module: catalogue
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Validate the catalogue of Services and compile it into one file
description:
  - Runs on the controller, once a run. Reads manifests, joins them with the inventory's hosts, checks all of it, and
    writes what the filters read.
  - Every fault is reported, one line each, and nothing is written then.
  - What a run compiled is kept by the hash of everything that went in, so a catalogue that has not changed costs its
    reading.
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
    description: The settings of all nodes, from P(sluice.lb.settings#filter).
    type: list
    elements: dict
    default: []
  path:
    description: Where the compiled catalogue goes; folders are made.
    type: path
    required: true
requirements:
  - PyYAML
extends_documentation_fragment: [ansible.builtin.action_common_attributes]
attributes:
  check_mode:
    support: full
    details: What is compiled is a cache beside the run, so it is written in check mode, too.
  diff_mode:
    support: none
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Compile the catalogue
  sluice.lb.catalogue:
    paths: [services]
    path: .sluice/catalogue.json
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
services:
  description: How many Services program rules.
  returned: success
  type: int
endpoints:
  description: How many endpoints they have.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice import render, settings
from ansible_collections.sluice.lb.plugins.module_utils.sluice.catalogue import compilation
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import InputError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "optional": {"type": "bool", "default": False},
            "manifests": {"type": "list", "elements": "dict", "default": []},
            "endpoint_hosts": {"type": "list", "elements": "dict", "default": []},
            "nodes": {"type": "list", "elements": "dict", "default": []},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        done = compilation.compile_catalogue(
            given["paths"],
            given["path"],
            manifests=given["manifests"],
            hosts=given["endpoint_hosts"],
            checks=render.checks_for([settings.from_variables(node)[0] for node in given["nodes"]]),
            optional=given["optional"],
        )
    except InputError as error:
        module.fail_json(msg="\n".join(["The catalogue is not valid; nothing was changed.", *map(str, error.faults)]))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    for warning in done.warnings:
        module.warn(str(warning))
    module.exit_json(changed=False, services=done.services, endpoints=done.endpoints)


if __name__ == "__main__":
    main()
