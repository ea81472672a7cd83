"""What a unit of Type=notify says to systemd: sd_notify(3), without its library."""

from __future__ import annotations

import contextlib
import os
import socket

READY, WATCHDOG = "READY=1", "WATCHDOG=1"

_PATIENCE = 1.0
"""Seconds for which a systemd that is behind is waited for: who keeps others waiting is no better."""


def notify(*fields: str) -> bool:
    """Tell systemd ``fields``. Whether it took them; where nobody wants to hear, as without systemd, it did not."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address[0] == "@":  # an abstract socket, unix(7)
        address = f"\0{address[1:]}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.settimeout(_PATIENCE)
        link.sendto("\n".join(fields).encode(), address)
        return True
    return False
