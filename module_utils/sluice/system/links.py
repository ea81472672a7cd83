"""This host's network devices and their addresses, by ip(8)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from . import tools

_PEER = re.compile(r" peer [^ ]*/")
"""The other end of a point-to-point link; the prefix length behind it is this end's as well."""


def ask(*words: str) -> list[dict[str, Any]]:
    """What ``ip -json`` answers. Raises NodeError."""
    found: list[dict[str, Any]] = json.loads(tools.output(["ip", "-json", *words]) or "[]")
    return found


def bridges() -> tuple[str, ...]:
    """The names of the devices that are bridges. Raises NodeError."""
    return tuple(each["ifname"] for each in ask("link", "show", "type", "bridge") if each)


def prefixes() -> dict[str, tuple[str, ...]]:
    """The addresses of every device, with prefix lengths (``10.0.0.1/24``)."""
    # The short form: of thousands of addresses, the long one takes twice the time.
    return parse_brief(tools.output(["ip", "-brief", "address"]))


def parse_brief(text: str) -> dict[str, tuple[str, ...]]:
    """``prefixes`` from what ``ip -brief address`` prints."""
    found = {}
    for line in _PEER.sub("/", text).splitlines():
        name, _state, *words = line.split()
        found[name.partition("@")[0]] = tuple(word for word in words if "/" in word)
    return found


def own_addresses(by_device: Mapping[str, tuple[str, ...]], services: Collection[str]) -> list[str]:
    """All addresses of the host, loopback included; those on the devices ``services`` are not its own."""
    found = (prefix for device, held in by_device.items() if device not in services for prefix in held)
    return list(dict.fromkeys(prefix.partition("/")[0] for prefix in found))
