"""Which addresses this host has a route to."""

from __future__ import annotations

import socket
from collections.abc import Iterable

_ANY_PORT = 9


def without(addresses: Iterable[str]) -> list[str]:
    """Those of ``addresses`` that the kernel has no route to, in their order. No packet is sent.

    A UDP socket that is connected asks for a route and does nothing else (udp(7), ip(7)); one that leads into
    ``unreachable``, ``prohibit`` or ``blackhole`` (ip-route(8)) is none. It is asked for packets of this host: rules
    that look at an interface or a mark (ip-rule(8)) are not seen.
    """
    asking: dict[socket.AddressFamily, socket.socket] = {}
    found = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        # A socket that has been connected keeps its source address, so a new one has the last word.
        if family in asking and _leads(asking[family], address):
            continue
        new = _connected(family, address)
        if new is None:
            found.append(address)
            continue
        if family in asking:
            asking[family].close()
        asking[family] = new
    for each in asking.values():
        each.close()
    return found


def _connected(family: socket.AddressFamily, address: str) -> socket.socket | None:
    try:
        new = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:  # a kernel without IPv6
        return None
    if _leads(new, address):
        return new
    new.close()
    return None


def _leads(asking: socket.socket, address: str) -> bool:
    try:
        asking.connect((address, _ANY_PORT))
    except OSError:
        return False
    return True
