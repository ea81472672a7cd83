"""What this node's kernel holds now, by the tools that print it, and what rules need of it besides. Needs root."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..system import conntrack, links, linux, netlink, tools
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
    ("nft", "-j", "list"),
    ("ip", "-o", "address"),
    ("ip", "neighbour", "show", "nud", "failed"),
)
_HOLDS = {"iptables-legacy-save": "/proc/net/ip_tables_names", "ip6tables-legacy-save": "/proc/net/ip6_tables_names"}
_NEEDS = {"ipset": "/sys/module/ip_set", "ipvsadm": "/proc/net/ip_vs"}
"""What is there where a tool has something to print: asked without it, the tool would load the kernel's module."""


_NFPROTO = {"ip": 2, "ip6": 10}
_OF = {"iptables-nft-save": "ip", "ip6tables-nft-save": "ip6"}
"""The family of nf_tables whose tables a tool prints."""

_SHOWN = re.compile(r"^\*(\w+)$", re.MULTILINE)
_NOT_ALL = re.compile(r"^# Table `(\w+)' ", re.MULTILINE)
"""What iptables-nft-save says of a table that it does not know, or of which it leaves chains out."""

Tables = Sequence[tuple[str, str]]
"""Family and name of each."""


def dump(own: Iterable[str] = ()) -> Snapshot:
    """What the kernel holds. ``own``: addresses of the node besides. Raises NodeError.

    A tool that cannot print what others have made hides nothing but that: ``unread`` of the snapshot says so.
    """
    if os.geteuid():
        raise NodeError("to read what the kernel holds needs root")
    unread: list[str] = []
    try:
        held = snapshot(_texts(unread), own)
    except DumpError as error:
        raise NodeError(str(error)) from None
    bridges = links.bridges() if tools.find("ip") else ()
    return held._replace(
        sysctls=dict(_sysctls()),
        conntrack=conntrack.fill(),
        bridges=bridges,
        modules=linux.modules_present(),
        unread=tuple(unread),
    )


def _texts(unread: list[str]) -> Iterator[tuple[str, str]]:
    """What each tool prints; why one could not is put into ``unread``."""
    shown: dict[str, set[str]] = {}
    for command in _DUMPS:
        if not tools.find(command[0]) or not _has_some(command[0]):
            continue
        try:
            if command[0] == "nft":
                yield from _nftables(command, shown)
                continue
            text = _output(command)
        except NodeError as error:
            if command[0] == "ip":
                raise  # without addresses nothing of the node can be told
            unread.append(str(error))
            continue
        if command[0] in _OF:
            shown[_OF[command[0]]] = set(_SHOWN.findall(text)).difference(_NOT_ALL.findall(text))
        yield " ".join(command), text


def _output(command: Sequence[str]) -> str:
    """What a tool that is there prints. Raises NodeError."""
    try:
        done = tools.run([tools.find(command[0]), *command[1:]])
    except UnicodeDecodeError:
        raise NodeError(f"{' '.join(command)}: prints what is not text") from None
    if done.returncode:
        raise NodeError(f"{' '.join(command)}: {tools.reason(done)}")
    return done.stdout


def _nftables(command: Sequence[str], shown: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """The tables that iptables-nft-save has not ``shown`` whole: megabytes, which nft lists in seconds, for nothing."""
    there = _tables(_output([*command, "tables"]))
    rest = [(family, name) for family, name in there if name not in _whole(family, shown)]
    if there and len(rest) < len(there):
        each = [[*command, "table", family, name] for family, name in rest]
        try:
            yield from [(" ".join(one), _output(one)) for one in each]
            return
        except NodeError:
            pass  # it went meanwhile, or has a name that nft does not read
    yield " ".join([*command, "ruleset"]), _output([*command, "ruleset"])


def _tables(listed: str) -> Tables:
    """Those that ``nft -j list tables`` printed; none where that is not to be understood."""
    try:
        found = [entry["table"] for entry in json.loads(listed)["nftables"] if "table" in entry]
        return [(each["family"], each["name"]) for each in found]
    except (ValueError, KeyError, TypeError):
        return []


def _whole(family: str, shown: Mapping[str, set[str]]) -> set[str]:
    """The tables of a family of which iptables-nft-save has shown all.

    A rule that looks into a set it prints without that condition, and as if nothing were wrong (1.8.9).
    """
    if not shown.get(family):
        return set()
    try:
        return shown[family] - netlink.nft_tables_with_sets(_NFPROTO[family])
    except OSError:
        return set()


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
