"""The filter sluice.lb.chain_name."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.sluice.lb.plugins.module_utils.sluice import names

DOCUMENTATION = r"""
name: chain_name
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The hashed chain name that kube-proxy gives to a service port or an endpoint
description:
  - The prefix, and the first 16 characters of the base32 form of the SHA-256 of service port, protocol and endpoint.
  - The same in all releases of kube-proxy; up to 1.18 a port without a name keeps its colon (C(ns/name:)).
positional: prefix, protocol, endpoint
options:
  _input:
    description: The service port's display name, C(ns/name) or C(ns/name:port).
    type: str
    required: true
  prefix:
    description: What the name begins with, such as V(KUBE-SVC-) or V(KUBE-SEP-).
    type: str
    required: true
  protocol:
    description: The port's protocol.
    type: str
    choices: [TCP, UDP, SCTP]
    default: TCP
  endpoint:
    description: For an endpoint's chain, its V(ip:port), and V([ip]:port) for IPv6.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show the chain of the published walkthrough's Service
  ansible.builtin.debug:
    msg: "{{ 'kube-system/kubernetes-lb:' | sluice.lb.chain_name('KUBE-SVC-') }}"  # KUBE-SVC-EFPSQH5654KMWHJ5
"""

RETURN = r"""
_value:
  description: The name of the chain.
  type: str
"""


def chain_name(service_port: str, prefix: str, protocol: str = "TCP", endpoint: str = "") -> str:
    """See DOCUMENTATION."""
    if protocol.upper() not in ("TCP", "UDP", "SCTP"):
        raise AnsibleFilterError(f"sluice.lb.chain_name: {protocol!r} is not one of TCP, UDP, SCTP")
    return names.chain_name(prefix, service_port, protocol, endpoint)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"chain_name": chain_name}
