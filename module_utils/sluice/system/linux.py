"""The running Linux: its release, sysctls, kernel modules, processes, and which boot and network namespace this is."""

from __future__ import annotations

import functools
import glob
import os
import re
from collections.abc import Collection

from . import tools
from .tools import NodeError

_WITH_PARAMETERS = ("dummy", "ip_vs")
"""Modules with parameters: /sys/module shows them even where they are built in."""


def release() -> tuple[int, int]:
    """The release of this node's Linux, ``(6, 1)``."""
    major, minor = re.findall(r"[0-9]+", os.uname().release)[:2]
    return int(major), int(minor)


def place() -> str:
    """Which kernel this is: the boot, and the network namespace."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        boot = stream.read().strip()
    return f"{boot} {os.stat('/proc/self/ns/net').st_ino}"


def has_systemd() -> bool:
    """Whether systemd runs this node, as sd_booted(3) finds out."""
    return os.path.isdir("/run/systemd/system") and bool(tools.find("systemd-run"))


def distributions() -> list[str]:
    """The distribution and those that it is like, as os-release(5) names them; empty where there is no such file."""
    try:
        with open("/etc/os-release", encoding="utf-8") as stream:
            pairs = dict(line.rstrip().split("=", 1) for line in stream if "=" in line)
    except OSError:
        return []
    return f"{pairs.get('ID', '')} {pairs.get('ID_LIKE', '')}".replace('"', "").split()


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


def start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat: the clock tick at which the process started; empty where there is none.

    A process id is used again sooner or later: only with the same start is it the same process.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


# --- sysctls


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


# --- kernel modules


def module_present(name: str) -> bool:
    """Whether a kernel module is loaded or built in."""
    return os.path.isdir(f"/sys/module/{name}") or name in _built_in()


def module_loadable(name: str) -> bool:
    """Whether a kernel module is there, or could be loaded."""
    return module_present(name) or _modprobe("--dry-run", name)


def lacks_module(name: str) -> bool:
    """Whether this kernel has no module ``name``, as far as it lists its modules at all."""
    listed = bool(_built_in()) or name in _WITH_PARAMETERS
    return listed and not module_loadable(name)


def load_module(name: str) -> bool:
    """Load a kernel module; False where the kernel has none of that name."""
    return _modprobe(name)


@functools.lru_cache(maxsize=1)
def _built_in() -> frozenset[str]:
    try:
        with open(f"/lib/modules/{os.uname().release}/modules.builtin", encoding="utf-8") as stream:
            return frozenset(os.path.basename(line.rstrip())[: -len(".ko")].replace("-", "_") for line in stream)
    except OSError:
        return frozenset()


def _modprobe(*words: str) -> bool:
    command = tools.find("modprobe")
    return bool(command) and tools.run([command, "--quiet", *words]).returncode == 0
