"""The running Linux: its release, sysctls, kernel modules, processes, and which boot and network namespace this is."""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Collection

from . import tools
from .tools import NodeError

_NETNS_COOKIE = 71
"""SO_NETNS_COOKIE of asm-generic/socket.h."""

_ACCEPTS, _CONNECTED = 0x10000, "03"
"""Flags and state of a socket in /proc/net/unix (linux/net.h: __SO_ACCEPTCON, SS_CONNECTED)."""

_SYSCTLS = "/proc/sys/"
_SYS_MODULE = "/sys/module"
_WITH_PARAMETERS = ("dummy", "ip_vs")
"""Modules with parameters: /sys/module shows them even where they are built in."""


def release() -> tuple[int, int]:
    """The release of this node's Linux, ``(6, 1)``."""
    major, minor = re.findall(r"[0-9]+", os.uname().release)[:2]
    return int(major), int(minor)


def boot() -> str:
    """Which boot of this host it is (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()


def uptime() -> float:
    """Seconds since the boot, those asleep among them: nobody sets this clock (CLOCK_BOOTTIME, clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def place() -> str:
    """Which kernel this is: the boot, and the network namespace. The same text never means two of them."""
    return f"{boot()} {_namespace()}"


def _namespace() -> str:
    """The network namespace by its cookie, a number that no other one of this boot had or will have (socket(7)).

    Its inode alone may come again. A kernel before 5.14 tells no cookie: then it is the one of the first process, by
    that process's start, or cannot be told.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        return str(int.from_bytes(link.getsockopt(socket.SOL_SOCKET, _NETNS_COOKIE, 8), sys.byteorder))
    with contextlib.suppress(OSError):
        if os.path.samefile("/proc/self/ns/net", "/proc/1/ns/net"):
            return f"of process 1, {start_time(1)}"
    return os.urandom(16).hex()


def memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


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
    return sorted(f"{name} (pid {pid})" for name, pid in processes(names.__contains__))


def processes(is_meant: Callable[[str], object]) -> list[tuple[str, int]]:
    """Processes in this network namespace whose names are meant, with their ids."""
    own = os.stat("/proc/self/ns/net")
    found = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        folder = os.path.dirname(path)
        try:
            with open(path, encoding="utf-8") as stream:
                name = stream.read().strip()
            if is_meant(name) and os.path.samestat(os.stat(f"{folder}/ns/net"), own):
                found.append((name, int(os.path.basename(folder))))
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


def session(leader: int) -> list[int]:
    """The processes of the session that ``leader`` began (setsid(2)), those that have ended but were not waited for
    not among them."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] not in "ZX":
                found.append(int(path.split("/")[2]))
    return found


def unix_socket(path: str) -> tuple[bool, bool]:
    """Whether somebody in this network namespace listens at ``path``, and whether somebody was accepted there.

    By /proc/net/unix, which asks nobody and may be read by all.
    """
    listens = connected = False
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            fields = line.rstrip("\n").split(maxsplit=7)
            if fields[7:] == [path]:
                accepts = int(fields[3], 16) & _ACCEPTS
                listens, connected = listens or bool(accepts), connected or fields[5] == _CONNECTED
    return listens, connected


# --- sysctls, by sysctl(8)'s names: with a slash for the dot of an interface (``net.ipv4.conf.eth0/7.forwarding``)

_SWAPPED = str.maketrans("./", "/.")


def sysctls(pattern: str) -> list[str]:
    """The sysctls that a name with ``*`` stands for (sysctl.d(5)); just ``pattern`` where it has none."""
    if "*" not in pattern:
        return [pattern]
    return sorted(path[len(_SYSCTLS) :].translate(_SWAPPED) for path in glob.glob(_sysctl_path(pattern)))


def sysctl(name: str) -> str | None:
    """The value of a sysctl, or None where this kernel (or this network namespace) does not have it."""
    try:
        with open(_sysctl_path(name), encoding="ascii") as stream:
            return " ".join(stream.read().split())
    except OSError:
        return None


def may_set_sysctl(name: str) -> bool:
    """Whether this process may set a sysctl that is there: some belong to the first network namespace."""
    return os.access(_sysctl_path(name), os.W_OK)


def set_sysctl(name: str, value: str) -> None:
    """Set a sysctl now. Raises NodeError."""
    try:
        with open(_sysctl_path(name), "w", encoding="ascii") as stream:
            stream.write(value)
    except OSError as error:
        raise NodeError(f"sysctl {name}={value}: {error.strerror}") from None


def _sysctl_path(name: str) -> str:
    return _SYSCTLS + name.translate(_SWAPPED)


# --- kernel modules


def module_present(name: str) -> bool:
    """Whether a kernel module is loaded or built in."""
    return os.path.isdir(f"{_SYS_MODULE}/{name}") or name in _built_in()


def modules_present() -> frozenset[str] | None:
    """Every module that is loaded or built in; None where the kernel does not list those that are built in."""
    if not _built_in():
        return None
    try:
        return _built_in().union(os.listdir(_SYS_MODULE))
    except OSError:
        return None


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


def module_parameter(module: str, name: str) -> str | None:
    """The value of a parameter that is in force; None where the module is not there, or does not show it."""
    return _of_module(module, f"parameters/{name}")


def module_use(module: str) -> int | None:
    """How many use a loaded module, in all network namespaces; None where it can never be unloaded."""
    users = _of_module(module, "refcnt")
    return int(users) if users else None


def reload_module(name: str) -> None:
    """Unload a module that nobody uses and load it again, with the options of modprobe.d(5). It may refuse."""
    if _modprobe("--remove", name):
        _modprobe(name)


def _of_module(module: str, name: str) -> str | None:
    """A file of a module below /sys (sysfs-module of the kernel's ABI documentation)."""
    try:
        with open(f"{_SYS_MODULE}/{module}/{name}", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return None


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
