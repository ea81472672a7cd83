"""Who else programs Services on this node while it runs, and how that is stopped."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator

from ..system import linux, sockets

PROXIES = ("kube-proxy", "kube-router")
"""Service proxies that are processes of their own."""

_PROXY = re.compile(rf"(?:{'|'.join(PROXIES)})(?:-v?\d.*)?")
"""Their names, also where somebody runs one that has its release in its name."""

KUBERNETES = (*PROXIES, "kubelet", "k3s-server", "k3s-agent", "rke2")
"""Processes that program Services, or the chains that go with them."""

DEVICES = {"kube-dummy-if": ("a kube-router", "kube-router --cleanup-config")}
"""Devices that hold addresses of Services of another proxy: whose, and what removes it."""

PORTS = (10256, 10249)
"""Where a kube-proxy tells its health and its metrics; one that is a part of another process does so too."""

_NO_PROXY = b"--run-service-proxy=false"
"""What makes a kube-router one that only routes and filters."""

_UNIT = re.compile(r"/([\w.@\\-]+\.service)(?:/|$)", re.MULTILINE)


def left() -> list[str]:
    """What other Service proxies have left that no layer of ours would replace, a line each."""
    there = {name for _index, name in socket.if_nameindex()}
    return [
        f"{device} holds addresses of Services for the virtual servers of {proxy}: {remedy} removes them"
        for device, (proxy, remedy) in DEVICES.items()
        if device in there
    ]


def running(*, by_port: bool) -> list[str]:
    """The Service proxies that run in this network namespace, a line each that says how to stop it.

    ``by_port``: whether whoever listens where a kube-proxy does is taken for one, whatever its name.
    """
    known = {pid: name for name, pid in linux.processes(_PROXY.fullmatch) if _NO_PROXY not in _words(pid)}
    lines = [_line(f"{name} (pid {pid})", name, pid) for pid, name in known.items()]
    if by_port and not known:
        lines += _listening()
    return lines


def _listening() -> Iterator[str]:
    seen = set()
    holders = sockets.holders(PORTS)
    for port in sorted(sockets.listening(PORTS)):
        holder = holders.get(port)
        if holder is None:
            yield f"a process that is not seen from here listens on port {port}, as a kube-proxy does: stop it first"
        elif holder.pid not in seen and not _is_sluice(holder.pid):
            seen.add(holder.pid)
            yield _line(f"{holder} listens on port {port}, as a kube-proxy does, and", holder.command, holder.pid)


def _line(who: str, name: str, pid: int) -> str:
    group = ""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", encoding="utf-8") as stream:
        group = stream.read()
    stop = how_to_stop(name, pid, group)
    return f"{who} programs Services on this node, and would undo what is done here: stop it first ({stop})"


def how_to_stop(name: str, pid: int, group: str) -> str:
    """How a process is stopped so that it stays so, by its control groups (cgroups(7), /proc/PID/cgroup)."""
    if "kubepods" in group:
        return f"a Pod of the DaemonSet {name}: keep that off this node, or delete it where no node needs it"
    if name.startswith(("k3s", "rke2")):
        return "disable-kube-proxy: true in its configuration"
    units = _UNIT.findall(group)
    return f"systemctl disable --now {units[-1]}" if units else f"kill {pid}, and whatever starts it again"


def _is_sluice(pid: int) -> bool:
    """Whether it is a part of Sluice, which answers for its health on the same port."""
    return any(os.path.basename(word) in (b"sluice", b"sluice.pyz") for word in _words(pid))


def _words(pid: int) -> list[bytes]:
    """The words of its command line; none where it has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as stream:
        return stream.read().split(b"\0")
    return []
