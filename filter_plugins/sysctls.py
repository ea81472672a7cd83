"""The filter sluice.lb.sysctls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice import render
from ansible_collections.sluice.lb.plugins.module_utils.sluice import settings as node_settings

DOCUMENTATION = r"""
name: sysctls
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The sysctls that a node needs for its settings
description:
  - Forwarding in the families that are served, route_localnet where node ports answer on 127.0.0.1, and those of IPVS.
positional: kernel
options:
  _input:
    description: The node's settings, from P(sluice.lb.settings#filter).
    type: dict
    required: true
  kernel:
    description: The release of the node's Linux, C(node.kernel) of M(sluice.lb.node_facts).
    type: list
    elements: int
    required: true
"""

EXAMPLES = r"""
- name: Set the sysctls
  sluice.lb.node_kernel:
    sysctls: "{{ settings | sluice.lb.sysctls([6, 1]) }}"
"""

RETURN = r"""
_value:
  description: Values by sysctl.
  type: dict
"""


def sysctls(settings: Mapping[str, Any], kernel: Sequence[int]) -> dict[str, str]:
    """See DOCUMENTATION."""
    node, _warnings = node_settings.from_variables(settings)
    return dict(render.needs({}, node, kernel).sysctls)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"sysctls": sysctls}
