"""What this node's kernel holds now, by the tools that print it, and what rules need of it besides. Needs root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ..system import conntrack, links, linux, tools
from ..system.tools import NodeError
from .oddities_node import SYSCTLS
from .snapshot import DumpError, Snapshot, snapshot

_DUMPS = (
    ("iptables-nft-save",),
    ("ip6tables-nft-save",),
    ("iptables-legacy-save",),
    ("ip6tables-legacy-save",),
    ("ipset", "save"),
    ("ipvsadm", "-Sn"),
    ("nft", "-j", "list", "ruleset"),
    ("ip", "-o", "address"),
    ("ip", "neighbour", "show", "nud", "failed"),
)
_HOLDS = {"iptables-legacy-save": "/proc/net/ip_tables_names", "ip6tables-legacy-save": "/proc/net/ip6_tables_names"}
_NEEDS = {"ipset": "/sys/module/ip_set", "ipvsadm": "/proc/net/ip_vs"}
"""What is there where a tool has something to print: asked without it, the tool would load the kernel's module."""


def dump(own: Iterable[str] = ()) -> Snapshot:
    """What the kernel holds. ``own``: addresses of the node besides. Raises NodeError."""
    if os.geteuid():
        raise NodeError("to read what the kernel holds needs root")
    try:
        held = snapshot(_texts(), own)
    except DumpError as error:
        raise NodeError(str(error)) from None
    bridges = links.bridges() if tools.find("ip") else ()
    return held._replace(
        sysctls=dict(_sysctls()), conntrack=conntrack.fill(), bridges=bridges, modules=linux.modules_present()
    )


def _texts() -> Iterator[tuple[str, str]]:
    for command in _DUMPS:
        path = tools.find(command[0])
        if not path or not _has_some(command[0]):
            continue
        try:
            done = tools.run([path, *command[1:]])
        except UnicodeDecodeError:
            raise NodeError(f"{' '.join(command)}: prints what is not text") from None
        if done.returncode:
            raise NodeError(f"{' '.join(command)}: {tools.reason(done)}")
        yield " ".join(command), done.stdout


def _sysctls() -> Iterator[tuple[str, str]]:
    """Those that this kernel has."""
    for pattern in SYSCTLS:
        for name in linux.sysctls(pattern):
            value = linux.sysctl(name)
            if value is not None:
                yield name, value


def _has_some(tool: str) -> bool:
    if tool in _HOLDS:
        try:
            with open(_HOLDS[tool], encoding="ascii") as names:
                return bool(names.read().strip())
        except OSError:
            return False
    return os.path.exists(_NEEDS.get(tool, "/"))
