#!/usr/bin/python
"""The module sluice.lb.trace."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trace
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: Which way a packet takes through a node's rules
description:
  - Asks the node's kernel for its rules, of whatever program, and follows a packet through them. Nothing is changed.
  - The callback P(sluice.lb.summary#callback), which the collection's playbooks have, says where nodes differ.
options:
  to:
    description:
      - An address and port, as V(10.96.0.10:80) or V(10.96.0.10:53/udp), or a Service, as V(shop/web) or
        V(shop/web:http), for all of its addresses.
    type: str
    required: true
  from:
    description:
      - The client's address. One of the node's own begins where the node itself sends.
      - Without it the client is one that no rule names.
    type: str
    default: ''
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Where a client's packets go
  sluice.lb.trace:
    to: shop/web
    from: 192.0.2.7
"""

RETURN = r"""
packets:
  description: Each packet that was asked for.
  returned: success
  type: list
  elements: dict
  contains:
    where:
      description: The packet, in words that are the same on all nodes.
      type: str
    ends:
      description: Where it may end, each with its chance.
      type: list
      elements: str
    by:
      description: The rule that refuses or drops it, if one may.
      type: str
    is_local:
      description: Whether the Service's traffic policy is Local for it, so that nodes may differ.
      type: bool
    tree:
      description: What C(sluice trace) prints of it.
      type: str
reason:
  description: Why there are none, as the node's rules do not have the Service; else empty.
  returned: success
  type: str
"""

import gc

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sluice.lb.plugins.module_utils.sluice.observe import comparison, live, notes, services, trace
from ansible_collections.sluice.lb.plugins.module_utils.sluice.observe.nft_values import DAMAGED
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system.tools import NodeError


def main() -> None:
    module = AnsibleModule(
        argument_spec={"to": {"type": "str", "required": True}, "from": {"type": "str", "default": ""}},
        supports_check_mode=True,
    )
    gc.disable()  # builds large trees, and ends
    try:
        held, to = live.dump(), module.params["to"]
        ports = services.once(held)
        found = notes.noted(held, trace.traced(held, to, module.params["from"], ports), ports=ports)
        packets = [each.fields() for each in comparison.told(held, found, to, ports)]
    except trace.UnknownError as error:
        module.exit_json(changed=False, packets=[], reason=str(error).replace("--to ", ""))
    except trace.QuestionError as error:
        module.fail_json(msg=str(error).replace("--to ", "to ").replace("--from ", "from "))
    except (NodeError, *DAMAGED) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, packets=packets, reason="")


if __name__ == "__main__":
    main()
