"""The filter sluice.lb.node_files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice import render
from ansible_collections.sluice.lb.plugins.module_utils.sluice.catalogue import sources
from ansible_collections.sluice.lb.plugins.module_utils.sluice.settings import from_variables

DOCUMENTATION = r"""
name: node_files
author: The Sluice authors
version_added: 0.1.0
short_description: All files of one node, as text
description:
  - What M(sluice.lb.render) renders, for playbooks that want to look at it.
  - Takes the catalogue's path, not the catalogue. At thousands of Services, variables would cost Ansible half a minute.
positional: settings
options:
  _input:
    description: The path of a compiled catalogue, from M(sluice.lb.catalogue).
    type: path
    required: true
  settings:
    description: The node's settings, from P(sluice.lb.settings#filter).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the rules
  ansible.builtin.debug:
    msg: "{{ ('.sluice/catalogue.json' | sluice.lb.node_files(node_settings))['iptables.rules'] }}"
"""

RETURN = r"""
_value:
  description: Contents by file name.
  type: dict
"""


def node_files(path: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """See DOCUMENTATION."""
    node, _warnings = from_variables(settings)
    return render.render(render.views(sources.compiled(str(path)), node), node)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"node_files": node_files}
