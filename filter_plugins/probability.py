"""The filter sluice.lb.probability."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.sluice.lb.plugins.module_utils.sluice import names

DOCUMENTATION = r"""
name: probability
author: The Sluice authors (!UNKNOWN)
version_added: 0.1.0
short_description: The probability of an endpoint's rule when so many endpoints are left
description:
  - Rules are asked in turn, so of three endpoints the first has 1/3, the second 1/2 of what is left, the last the rest.
  - The text is the one that iptables-save prints, the kernel's 31-bit fixed point number with eleven digits.
options:
  _input:
    description: How many endpoints are left, this one included.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Show the probabilities of three endpoints' rules
  ansible.builtin.debug:
    msg: "{{ [3, 2, 1] | map('sluice.lb.probability') }}"  # 0.33333333349, 0.50000000000, 1.00000000000
"""

RETURN = r"""
_value:
  description: The probability.
  type: str
"""


def probability(left: int) -> str:
    """See DOCUMENTATION."""
    if isinstance(left, bool) or not isinstance(left, int) or left < 1:
        raise AnsibleFilterError(f"sluice.lb.probability: must be a whole number from 1, is {left!r}")
    return names.probability(left)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        return {"probability": probability}
