"""Addresses of this host's network devices, by ip(8)."""

from __future__ import annotations

import json
import shutil
from typing import Any

from . import addresses
from .iptables_kernel import KernelError, run

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def ask(*words: str) -> list[dict[str, Any]]:
    """What ``ip -json`` answers. Raises KernelError."""
    command = [shutil.which("ip", path=_PATH) or "ip", "-json", *words]
    result = run(command)
    if result.returncode:
        raise KernelError(f"{' '.join(command)}: {result.stderr.strip()}")
    found: list[dict[str, Any]] = json.loads(result.stdout or "[]")
    return found


def prefixes() -> dict[str, tuple[str, ...]]:
    """The addresses of every device, with prefix lengths (``10.0.0.1/24``)."""
    return {
        link["ifname"]: tuple(
            f"{addresses.address(entry['local'])}/{entry['prefixlen']}"
            for entry in link.get("addr_info", ())
            if "local" in entry
        )
        for link in ask("address")
        if "ifname" in link
    }


def own_addresses(by_device: dict[str, tuple[str, ...]], services: str) -> list[str]:
    """All addresses of the host, loopback included; those on the device ``services`` are not its own."""
    found = (prefix for device, held in by_device.items() if device != services for prefix in held)
    return list(dict.fromkeys(prefix.partition("/")[0] for prefix in found))
