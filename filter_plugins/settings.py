"""The filter sluice.lb.settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.sluice.lb.plugins.module_utils.sluice import addresses
from ansible_collections.sluice.lb.plugins.module_utils.sluice.backends.registry import BACKENDS
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import Fault, InputError
from ansible_collections.sluice.lb.plugins.module_utils.sluice.forms import is_name
from ansible_collections.sluice.lb.plugins.module_utils.sluice.settings import (
    PREFIX,
    from_variables,
    to_variables,
)

DOCUMENTATION = r"""
name: settings
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The settings of a node, complete and checked
description:
  - Picks the C(sluice_*) variables of a host, fills in what was found on the node and the defaults.
  - Where no node is asked, its addresses are C(sluice_node_ips), without them C(ansible_host), and loopback.
  - Fails with one line for every variable that holds what it may not.
positional: facts
options:
  _input:
    description: The variables of a host, C(hostvars[inventory_hostname]).
    type: dict
    required: true
  facts:
    description: What M(sluice.lb.node_facts) found; leave out where no node is asked.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Complete the settings
  ansible.builtin.set_fact:
    node_settings: "{{ hostvars[inventory_hostname] | sluice.lb.settings(node_found.node) }}"
"""

RETURN = r"""
_value:
  description: Every C(sluice_*) setting.
  type: dict
"""


def settings(variables: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """See DOCUMENTATION."""
    facts = facts or {"addresses": _known_addresses(variables)}
    found: dict[str, Any] = {
        "sluice_node_name": variables.get("inventory_hostname"),
        "sluice_node_addresses": facts.get("addresses"),
        "sluice_node_ips": facts.get("ips"),
    }
    host = str(variables.get("inventory_hostname", ""))
    given = {key: variables[key] for key in variables if str(key).startswith(PREFIX)}
    found.update({key: value for key, value in given.items() if value is not None})
    faults: list[Fault] = []
    if not is_name(host):  # its files lie in a folder of its name
        faults.append(Fault(f"host {host}", 0, "", "inventory_hostname", "must be a name, without blanks and slashes"))
        found["sluice_node_name"] = given.get("sluice_node_name")
    try:
        result, _warnings = from_variables(found, f"host {host}", backends=BACKENDS)
    except InputError as error:
        faults += error.faults
    if faults:
        raise AnsibleFilterError("\n".join(map(str, faults)))
    return to_variables(result)


def _known_addresses(variables: Mapping[str, Any]) -> list[str]:
    """What an inventory tells of a node's addresses."""
    own = variables.get("sluice_node_ips") or [variables.get("ansible_host")]
    texts = [addresses.address(text) for text in (own if isinstance(own, list) else [own])]
    return ["127.0.0.1", "::1", *filter(None, texts)]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"settings": settings}
