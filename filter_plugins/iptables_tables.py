"""The filter sluice.lb.iptables_tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice import render
from ansible_collections.sluice.lb.plugins.module_utils.sluice import settings as node_settings
from ansible_collections.sluice.lb.plugins.module_utils.sluice.backends.iptables import text as ruleset
from ansible_collections.sluice.lb.plugins.module_utils.sluice.catalogue import sources

DOCUMENTATION = r"""
name: iptables_tables
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The iptables rules of one node, table by table
description:
  - Takes the catalogue's path, not the catalogue. At thousands of Services, variables would cost Ansible half a minute.
positional: settings, family
extends_documentation_fragment: [sluice.lb.node]
options:
  family:
    description: The address family.
    type: str
    choices: [IPv4, IPv6]
    default: IPv4
"""

EXAMPLES = r"""
- name: Show the nat table
  ansible.builtin.debug:
    msg: "{{ ('catalogue.json' | sluice.lb.iptables_tables(settings, 'IPv4')).nat }}"
"""

RETURN = r"""
_value:
  description: For each table its lines in iptables-save form, without C(*table) and C(COMMIT).
  type: dict
"""


def iptables_tables(path: str, settings: Mapping[str, Any], family: str = "IPv4") -> dict[str, str]:
    """See DOCUMENTATION."""
    node, _warnings = node_settings.from_variables(settings)
    own = node._replace(ip_families=(str(family),))
    written = render.render(render.views(sources.compiled(str(path)), own), own)
    rules = ruleset.parse_files(written)[str(family)]
    return {table: "\n".join(ruleset.table_lines(table, chains)) for table, chains in rules.items()}


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"iptables_tables": iptables_tables}
