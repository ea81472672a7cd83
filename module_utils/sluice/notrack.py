"""The source ports of health checks by TCP that conntrack leaves alone (``sluice_health_notrack``).

A node that asks 5,000 endpoints a second would fill its connection table with 50,000 entries that nobody needs. So such
a check comes from one of these ports, by which the backends' rules know it, and its answer: conntrack sees neither. No
mark or group could do that, as the checker has no privilege to set one, and answers have none.
"""

from __future__ import annotations

FIRST, LAST = 61440, 61695
"""Behind what Linux gives to connections on its own (32768 to 60999, ip(7)), and not among node ports."""


def clash(given: str, reserved: str) -> str:
    """Why these ports cannot be used on a node, ``""`` where they can.

    ``given``, ``reserved``: the sysctls net.ipv4.ip_local_port_range and ip_local_reserved_ports. What conntrack does
    not see reaches no Service, so no other program may get one of these ports by chance.
    """
    low, high = map(int, given.split())
    free = set(range(max(low, FIRST), min(high, LAST) + 1))
    for part in filter(None, reserved.strip().split(",")):
        first, _dash, last = part.partition("-")
        free.difference_update(range(int(first), int(last or first) + 1))
    if not free:
        return ""
    return f"net.ipv4.ip_local_port_range is {low} to {high}: have {FIRST}-{LAST} in net.ipv4.ip_local_reserved_ports"
