"""The filter sluice.lb.endpoint_hosts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

DOCUMENTATION = r"""
name: endpoint_hosts
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The inventory hosts that Services may select as their endpoints
description:
  - Every host with C(sluice_labels) that are not empty, with what else it says of itself as an endpoint.
  - One that names no C(sluice_node) is on itself if it is a load balancer, and else as near to each load balancer as to
    any other.
positional: balancers
options:
  _input:
    description: C(hostvars).
    type: dict
    required: true
  balancers:
    description: The names of all hosts that are load balancers.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Compile the catalogue
  sluice.lb.catalogue:
    paths: [services]
    endpoint_hosts: "{{ hostvars | sluice.lb.endpoint_hosts }}"
    path: catalogue.json
"""

RETURN = r"""
_value:
  description: A mapping a host, of its C(name) and its C(sluice_*) variables without their prefix.
  type: list
  elements: dict
"""

_VARIABLES = ("labels", "endpoint_ip", "ports", "node", "ready", "weight")


def endpoint_hosts(hostvars: Mapping[str, Mapping[str, Any]], balancers: Collection[str] = ()) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    found = []
    for name in hostvars:
        variables = hostvars[name]
        if not variables.get("sluice_labels"):
            continue
        entry = {key: variables["sluice_" + key] for key in _VARIABLES if variables.get("sluice_" + key) is not None}
        address = variables.get("ansible_host")
        if name in balancers:
            entry.setdefault("node", variables.get("sluice_node_name") or name)
        found.append({"name": name, **({"endpoint_ip": address} if address else {}), **entry})
    return found


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"endpoint_hosts": endpoint_hosts}
