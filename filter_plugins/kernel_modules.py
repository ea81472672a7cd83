"""The filter sluice.lb.kernel_modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice import render
from ansible_collections.sluice.lb.plugins.module_utils.sluice import settings as node_settings
from ansible_collections.sluice.lb.plugins.module_utils.sluice.catalogue import sources

DOCUMENTATION = r"""
name: kernel_modules
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The kernel modules that a node needs for its settings and the catalogue
description:
  - Connection tracking, and for IPVS its own module and that of each scheduler that a Service asks for.
positional: settings
extends_documentation_fragment: [sluice.lb.node]
"""

EXAMPLES = r"""
- name: Load the modules
  sluice.lb.node_kernel:
    modules: "{{ 'catalogue.json' | sluice.lb.kernel_modules(settings) }}"
"""

RETURN = r"""
_value:
  description: Names of modules, sorted.
  type: list
  elements: str
"""


def kernel_modules(path: str, settings: Mapping[str, Any]) -> list[str]:
    """See DOCUMENTATION."""
    node, _warnings = node_settings.from_variables(settings)
    views = render.views(sources.compiled(str(path)), node)
    return list(render.needs(views, node, ()).modules)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"kernel_modules": kernel_modules}
