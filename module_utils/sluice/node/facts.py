"""What is found on a node: its addresses, its packages, who else programs Services there."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .. import addresses
from ..backends import registry
from ..system import conntrack, links, linux, tools
from . import rivals, state

ANNOUNCERS = ("keepalived", "ucarp", "vrrpd", "kube-vip", "speaker")
"""Processes that answer ARP for addresses of Services, on one node at a time."""

FLUSHERS = ("firewalld", "netfilter-persistent", "iptables", "ip6tables")
"""Units that load a rule set of their own, whole."""

_APT_LISTS = "/var/lib/apt/lists"
_DAY = 86400  # seconds; Debian's own timer fetches the lists that often (APT::Periodic::Update-Package-Lists)
_PACKAGES = {
    "debian": {"ip": "iproute2", "nft": "nftables", "modprobe": "kmod"},
    "rhel": {"ip": "iproute", "iptables": "iptables-nft", "nft": "nftables", "modprobe": "kmod"},
    "suse": {"ip": "iproute2", "nft": "nftables", "modprobe": "kmod"},
}


def facts(backend: str, families: Sequence[str] = addresses.FAMILIES) -> dict[str, Any]:
    """What ``sluice.lb.node_facts`` returns: addresses, ips, missing_packages, package_lists, rivals, proxies,
    rolled_back, systemd, flushers, announcers, kernel, connections, obstacles. An unknown backend needs no packages:
    the settings refuse it. Raises NodeError.
    """
    known = registry.BACKENDS.get(backend)
    missing = [command for command in (known.commands if known else ()) if not tools.find(command)]
    names = _package_names()
    has_ip = "ip" not in missing
    return {
        "addresses": links.own_addresses(links.prefixes(), registry.devices()) if has_ip else [],
        "ips": _primary_addresses() if has_ip else [],
        "package_lists": _package_lists(),
        "missing_packages": sorted({names.get(command, command) for command in missing}),
        "rivals": linux.running(rivals.KUBERNETES),
        "proxies": rivals.running(by_port=False),
        "announcers": linux.running(ANNOUNCERS),
        "kernel": list(linux.release()),
        "rolled_back": state.note(),
        "systemd": linux.has_systemd(),
        "flushers": flushers(),
        "connections": list(conntrack.fill()),
        "obstacles": list(known.obstacles(families)) if known else [],
    }


def _package_lists() -> str:
    """What the package manager knows of what it could install: ``current``, ``old`` or ``none``.

    apt knows nothing before its first update, and its mirrors drop what old lists name (apt-get(8)). Other package
    managers fetch their lists themselves.
    """
    try:
        if not any("Packages" in name for name in os.listdir(_APT_LISTS)):
            return "none"
        # An update that finds nothing new writes in this folder only.
        updated = os.stat(os.path.join(_APT_LISTS, "partial")).st_mtime
        return "old" if time.time() - updated > _DAY else "current"
    except OSError:
        return "current"


def warnings(found: Mapping[str, Any], backend: str, *, strict_arp: bool, repairs: bool) -> list[str]:
    """What speaks against programming Services on a node of these ``facts``, without forbidding it."""
    lines = []
    note = found["rolled_back"]
    if note:
        lines.append(f"the last change was taken back by the node at {note['time']}: {note['reason']}")
    if found["flushers"] and not repairs:
        names = ", ".join(found["flushers"])
        lines.append(f"a reload of {names} takes Sluice's rules away until the next apply; see sluice_repair_seconds")
    binds = backend in registry.BACKENDS and registry.BACKENDS[backend].devices
    if found["announcers"] and binds and not strict_arp:
        names = ", ".join(found["announcers"])
        lines.append(
            f"{names} announces addresses, but without sluice_ipvs_strict_arp every node answers ARP for all of them"
        )
    lines += found["obstacles"]
    full = conntrack.nearly_full(*found["connections"])
    return [*lines, full] if full else lines


def _primary_addresses() -> list[str]:
    """One address per family: the first global one of the interface with the default route, else the first of all."""
    devices = [link for link in links.ask("address") if link.get("ifname") not in registry.devices()]
    found = []
    for flag, kind in (("-4", "inet"), ("-6", "inet6")):
        device = next((route.get("dev") for route in links.ask(flag, "route", "show", "default")), None)
        candidates = [
            (link["ifname"] != device, addresses.address(entry["local"]))
            for link in devices
            for entry in link.get("addr_info", ())
            if entry.get("family") == kind and entry.get("scope") == "global"
        ]
        if candidates:
            found.append(min(candidates, key=lambda candidate: candidate[0])[1])
    return found


def _package_names() -> Mapping[str, str]:
    words = ("rhel" if word == "fedora" else word for word in linux.distributions())
    return _PACKAGES[next((word for word in words if word in _PACKAGES), "debian")]


def flushers() -> list[str]:
    """Services of this node whose reload takes other people's rules away, Sluice's among them."""
    if not linux.has_systemd():
        return []
    answers = tools.run(["systemctl", "is-active", *FLUSHERS]).stdout.split()
    return [name for name, answer in zip(FLUSHERS, answers) if answer == "active"]
