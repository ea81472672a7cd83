"""Addresses of this host's network devices, by ip(8)."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

from ..backends.iptables.kernel import KernelError, run

_PEER = re.compile(r" peer [^ ]*/")
"""The other end of a point-to-point link; the prefix length behind it is this end's as well."""

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def ask(*words: str) -> list[dict[str, Any]]:
    """What ``ip -json`` answers. Raises KernelError."""
    found: list[dict[str, Any]] = json.loads(_said("-json", *words) or "[]")
    return found


def _said(*words: str) -> str:
    command = [shutil.which("ip", path=_PATH) or "ip", *words]
    result = run(command)
    if result.returncode:
        raise KernelError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


def prefixes() -> dict[str, tuple[str, ...]]:
    """The addresses of every device, with prefix lengths (``10.0.0.1/24``)."""
    # The short form: of thousands of addresses, the long one takes twice the time.
    return parse_brief(_said("-brief", "address"))


def parse_brief(text: str) -> dict[str, tuple[str, ...]]:
    """``prefixes`` from what ``ip -brief address`` prints."""
    found = {}
    for line in _PEER.sub("/", text).splitlines():
        name, _state, *words = line.split()
        found[name.partition("@")[0]] = tuple(word for word in words if "/" in word)
    return found


def own_addresses(by_device: dict[str, tuple[str, ...]], services: str) -> list[str]:
    """All addresses of the host, loopback included; those on the device ``services`` are not its own."""
    found = (prefix for device, held in by_device.items() if device != services for prefix in held)
    return list(dict.fromkeys(prefix.partition("/")[0] for prefix in found))
