"""The filter sluice.lb.node_files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice import render
from ansible_collections.sluice.lb.plugins.module_utils.sluice import settings as node_settings
from ansible_collections.sluice.lb.plugins.module_utils.sluice.catalogue import sources

DOCUMENTATION = r"""
name: node_files
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: All files of one node, as text
description:
  - The same as the roles' templates write, for when nothing may be written, as in check mode.
positional: settings
extends_documentation_fragment: [sluice.lb.node]
"""

EXAMPLES = r"""
- name: Say what would change
  sluice.lb.apply:
    files: "{{ 'catalogue.json' | sluice.lb.node_files(settings) }}"
  check_mode: true
"""

RETURN = r"""
_value:
  description: Contents by file name.
  type: dict
"""


def node_files(path: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """See DOCUMENTATION."""
    node, _warnings = node_settings.from_variables(settings)
    return render.render(render.views(sources.compiled(str(path)), node), node)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"node_files": node_files}
