"""The filter sluice.lb.nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.sluice.lb.plugins.filter.settings import settings

DOCUMENTATION = r"""
name: nodes
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The settings of all load balancers, as the inventory has them
description:
  - What the catalogue is checked against, the same whichever hosts a run is limited to and whatever was found on them.
  - A host that is not in the play may have variables that only its own run can know; it is left out where they are not
    right. One of the play then fails as with P(sluice.lb.settings#filter).
positional: balancers, played
options:
  _input:
    description: C(hostvars).
    type: dict
    required: true
  balancers:
    description: The names of all hosts that are load balancers.
    type: list
    elements: str
    required: true
  played:
    description: The names of the play's hosts.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Compile the catalogue
  sluice.lb.catalogue:
    paths: [services]
    nodes: "{{ hostvars | sluice.lb.nodes(groups['load_balancers'], ansible_play_hosts_all) }}"
    path: catalogue.json
  run_once: true
"""

RETURN = r"""
_value:
  description: Every C(sluice_*) setting of each.
  type: list
  elements: dict
"""


def nodes(
    hostvars: Mapping[str, Mapping[str, Any]], balancers: Collection[str], played: Collection[str] = ()
) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    found = []
    for name in balancers:
        try:
            found.append(settings(hostvars[name]))
        except AnsibleError:
            if name in played:
                raise
    return found


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"nodes": nodes}
