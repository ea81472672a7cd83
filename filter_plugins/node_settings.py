"""The filter sluice.lb.node_settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice import settings as node_settings
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import files

DOCUMENTATION = r"""
name: node_settings
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The settings that an apply on the node needs
description:
  - The part of a node's settings that stands in C(settings.json) beside its rules, as JSON.
options:
  _input:
    description: The node's settings, from P(sluice.lb.settings#filter).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write settings.json
  ansible.builtin.copy:
    content: "{{ settings | sluice.lb.node_settings }}"
    dest: /etc/sluice/settings.json
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The content of C(settings.json).
  type: str
"""


def node_settings_text(settings: Mapping[str, Any]) -> str:
    """See DOCUMENTATION."""
    node, _warnings = node_settings.from_variables(settings)
    return files.settings_text(node._asdict()).rstrip()


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"node_settings": node_settings_text}
