"""A node as it is: its addresses, its packages, who else programs Services there; sysctls and kernel modules."""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .. import addresses
from ..backends.ipvs.rules import DEVICE
from ..system import links
from . import state, timer
from .files import DIRECTORY

SYSCTL_FILE = "/etc/sysctl.d/90-sluice.conf"
MODULES_FILE = "/etc/modules-load.d/sluice.conf"
NETWORK_MANAGER_FILE = "/etc/NetworkManager/conf.d/90-sluice.conf"
NETWORKD_FILE = "/etc/systemd/network/05-sluice.network"
_RELOAD = {
    NETWORK_MANAGER_FILE: ("systemctl", "try-reload-or-restart", "NetworkManager.service"),
    NETWORKD_FILE: ("networkctl", "reload"),
}
RIVALS = ("kube-proxy", "kubelet", "k3s-server", "k3s-agent", "rke2")
"""Processes that program Services, or the chains that go with them."""

ANNOUNCERS = ("keepalived", "ucarp", "vrrpd", "kube-vip", "speaker")
"""Processes that answer ARP for addresses of Services, on one node at a time."""

FLUSHERS = ("firewalld", "netfilter-persistent", "iptables", "ip6tables")
"""Units that load a rule set of their own, whole."""

_SHOWN = ("dummy", "ip_vs")
"""Modules with parameters: those are in /sys/module even where they are built in."""

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_COMMANDS = {
    "iptables": ("ip", "iptables", "conntrack", "modprobe"),
    "ipvs": ("ip", "iptables", "conntrack", "modprobe", "ipset", "ipvsadm"),
    "nftables": ("ip", "nft", "conntrack", "modprobe"),
}
_PACKAGES = {
    "debian": {"ip": "iproute2", "nft": "nftables", "modprobe": "kmod"},
    "rhel": {"ip": "iproute", "iptables": "iptables-nft", "conntrack": "conntrack-tools", "modprobe": "kmod",
             "nft": "nftables"},
    "suse": {"ip": "iproute2", "conntrack": "conntrack-tools", "nft": "nftables", "modprobe": "kmod"},
}  # fmt: skip


class NodeError(Exception):
    """The node cannot be asked or prepared; the message is one line."""


def facts(backend: str) -> dict[str, Any]:
    """What ``sluice.lb.node_facts`` returns: addresses, ips, missing_packages, rivals, prepared,
    rolled_back, systemd, flushers, announcers, kernel."""
    missing = [command for command in _COMMANDS[backend] if not shutil.which(command, path=_PATH)]
    names = _package_names()
    has_ip = "ip" not in missing
    return {
        "addresses": links.own_addresses(links.prefixes(), DEVICE) if has_ip else [],
        "ips": _primary_addresses() if has_ip else [],
        "missing_packages": sorted({names.get(command, command) for command in missing}),
        "rivals": running(RIVALS),
        "announcers": running(ANNOUNCERS),
        "kernel": list(kernel()),
        "prepared": os.path.isdir(DIRECTORY),
        "rolled_back": state.note(),
        "systemd": timer.has_systemd(),
        "flushers": flushers(),
    }


def _primary_addresses() -> list[str]:
    """One address a family: the first global one of the interface with the default route, else the first of all."""
    devices = [link for link in links.ask("address") if link.get("ifname") != DEVICE]
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
    like = "debian"
    try:
        with open("/etc/os-release", encoding="utf-8") as stream:
            pairs = dict(line.rstrip().split("=", 1) for line in stream if "=" in line)
        words = f"{pairs.get('ID', '')} {pairs.get('ID_LIKE', '')}".replace('"', "").replace("fedora", "rhel").split()
        like = next((word for word in words if word in _PACKAGES), like)
    except OSError:
        pass
    return _PACKAGES[like]


def kernel() -> tuple[int, int]:
    """The release of this node's Linux, ``(6, 1)``."""
    major, minor = re.findall(r"[0-9]+", os.uname().release)[:2]
    return int(major), int(minor)


def running(names: Collection[str]) -> list[str]:
    """Processes of these names in this network namespace, as ``command (pid N)``."""
    own = os.stat("/proc/self/ns/net")
    found = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        folder = os.path.dirname(path)
        try:
            with open(path, encoding="utf-8") as stream:
                name = stream.read().strip()
            if name in names and os.path.samestat(os.stat(f"{folder}/ns/net"), own):
                found.append(f"{name} (pid {os.path.basename(folder)})")
        except OSError:
            continue  # it has ended
    return sorted(found)


def flushers() -> list[str]:
    """Services of this node whose reload takes other people's rules away, Sluice's among them."""
    if not timer.has_systemd():
        return []
    command = ["systemctl", "is-active", *FLUSHERS]
    answers = subprocess.run(command, capture_output=True, text=True, env={"PATH": _PATH}, check=False).stdout.split()
    return [name for name, answer in zip(FLUSHERS, answers) if answer == "active"]


def sysctl_text(sysctls: Mapping[str, str]) -> str:
    """The content of SYSCTL_FILE."""
    return "# Written by Sluice.\n" + "".join(f"{name} = {value}\n" for name, value in sorted(sysctls.items()))


def modules_text(modules: Iterable[str]) -> str:
    """The content of MODULES_FILE."""
    return "# Written by Sluice.\n" + "".join(f"{name}\n" for name in sorted(modules))


def unmanaged_files(devices: Collection[str]) -> dict[str, str | None]:
    """Files that tell NetworkManager and systemd-networkd, where they are installed, to leave ``devices`` alone."""
    names = sorted(devices)
    listed = ";".join(f"interface-name:{name}" for name in names)
    wanted = {
        NETWORK_MANAGER_FILE: f"# Written by Sluice.\n[keyfile]\nunmanaged-devices+={listed}\n",
        NETWORKD_FILE: f"# Written by Sluice.\n[Match]\nName={' '.join(names)}\n\n[Link]\nUnmanaged=yes\n",
    }
    there = {path for path in wanted if os.path.isdir(os.path.dirname(path))}
    return {path: text if devices else None for path, text in wanted.items() if path in there}


def reload_networks(changed: Collection[str]) -> None:
    """Have those that manage devices read ``changed`` files again. One that does not run reads them when it starts."""
    for path, command in _RELOAD.items():
        if path in changed and timer.has_systemd():
            subprocess.run(command, capture_output=True, env={"PATH": _PATH}, check=False)


def sysctl(name: str) -> str | None:
    """The value of a sysctl, or None where this kernel (or this network namespace) does not have it."""
    try:
        with open(_sysctl_path(name), encoding="ascii") as stream:
            return " ".join(stream.read().split())
    except OSError:
        return None


def set_sysctl(name: str, value: str) -> None:
    """Set a sysctl now. Raises NodeError."""
    try:
        with open(_sysctl_path(name), "w", encoding="ascii") as stream:
            stream.write(value)
    except OSError as error:
        raise NodeError(f"sysctl {name}={value}: {error.strerror}") from None


def _sysctl_path(name: str) -> str:
    return "/proc/sys/" + name.replace(".", "/")


def module_loaded(name: str) -> bool:
    """Whether a kernel module is there, loaded or built in."""
    return os.path.isdir(f"/sys/module/{name}") or name in _built_in()


def lacks_module(name: str) -> bool:
    """Whether this kernel has no module ``name``, as far as it says which it has."""
    says = bool(_built_in()) or name in _SHOWN
    return says and not module_loaded(name) and _modprobe("--dry-run", name) != 0


def load_module(name: str) -> bool:
    """Load a kernel module; False where the kernel has none of that name."""
    return _modprobe(name) == 0


@functools.lru_cache(maxsize=1)
def _built_in() -> frozenset[str]:
    try:
        with open(f"/lib/modules/{os.uname().release}/modules.builtin", encoding="utf-8") as stream:
            return frozenset(os.path.basename(line.rstrip())[: -len(".ko")].replace("-", "_") for line in stream)
    except OSError:
        return frozenset()


def _modprobe(*words: str) -> int:
    command = shutil.which("modprobe", path=_PATH)
    return subprocess.run([command, "--quiet", *words], capture_output=True, check=False).returncode if command else 1
