"""Whether others take a TCP connection from this host, all of them asked at once."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Iterable

SILENT = "does not answer"


def refusals(places: Iterable[tuple[str, int]], seconds: float) -> dict[tuple[str, int], str]:
    """Why addresses and ports take no connection: ``refuses``, SILENT after so many seconds, or what the kernel says.

    An empty text for those that take one, which is closed at once.
    """
    found: dict[tuple[str, int], str] = {}
    until = time.monotonic() + seconds
    waiting: dict[int, tuple[socket.socket, tuple[str, int]]] = {}
    polled = select.poll()
    for place in dict.fromkeys(places):
        asking = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_STREAM)
        asking.setblocking(False)
        code = asking.connect_ex(place)
        if code in (0, errno.EINPROGRESS):
            waiting[asking.fileno()] = asking, place
            polled.register(asking, select.POLLOUT)
        else:
            found[place] = _said(code)
            asking.close()
    while waiting and time.monotonic() < until:
        for number, _events in polled.poll(max(until - time.monotonic(), 0.0) * 1000):
            polled.unregister(number)
            asking, place = waiting.pop(number)
            found[place] = _said(asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            asking.close()
    for asking, place in waiting.values():
        found[place] = SILENT
        asking.close()
    return found


def _said(code: int) -> str:
    if code == errno.ECONNREFUSED:
        return "refuses"
    return os.strerror(code).lower() if code else ""
