"""The filter sluice.lb.ipvs_tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice import render
from ansible_collections.sluice.lb.plugins.module_utils.sluice import settings as node_settings
from ansible_collections.sluice.lb.plugins.module_utils.sluice.backends.ipvs import tables
from ansible_collections.sluice.lb.plugins.module_utils.sluice.catalogue import sources

DOCUMENTATION = r"""
name: ipvs_tables
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: What one node keeps outside iptables in IPVS mode
description:
  - The sets, the virtual and real servers, and the addresses on C(kube-ipvs0), as text for the kernel's tools.
positional: settings
extends_documentation_fragment: [sluice.lb.node]
"""

EXAMPLES = r"""
- name: Show the virtual servers
  ansible.builtin.debug:
    msg: "{{ ('catalogue.json' | sluice.lb.ipvs_tables(settings))['ipvs.conf'] }}"
"""

RETURN = r"""
_value:
  description: Contents by file name, C(ipset.conf), C(ipvs.conf) and C(addresses).
  type: dict
"""


def ipvs_tables(path: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """See DOCUMENTATION."""
    node, _warnings = node_settings.from_variables(settings)
    written = render.render(render.views(sources.compiled(str(path)), node), node)
    return {name: written[name] for name in tables.FILES}


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"ipvs_tables": ipvs_tables}
