"""A host of the lab: a process in namespaces of its own, with files of its own.

Nothing of it shows on the machine outside but that process: its network, mounts and the files it wrote live in the
namespaces and end with it. Standard library only; unshare(2), setns(2) and mount(2) by ctypes, as Python has the first
two from 3.12 on and the third not at all.
"""

from __future__ import annotations

import ctypes
import glob
import os
import pathlib
import signal
import socket
import stat
import typing

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

PR_SET_PDEATHSIG = 1

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

# What a host may write, beside /run and /tmp. Overlays do not follow changes below them; /home is left as it is.
PRIVATE_DIRECTORIES = ("/etc", "/opt", "/root", "/srv", "/usr", "/var")
# Where Sluice keeps its files on a machine, all of them with its name. A host starts without them.
PLACES = (
    "/etc",
    "/etc/NetworkManager/conf.d",
    "/etc/modprobe.d",
    "/etc/modules-load.d",
    "/etc/sysctl.d",
    "/etc/systemd/network",
    "/etc/systemd/system",
    "/etc/systemd/system/*.wants",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/local/share/bash-completion/completions",
    "/usr/local/share/man/man1",
    "/usr/local/share/zsh/site-functions",
    "/var/lib",
)
PYTHON = "/usr/bin/python3"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    _check(_libc.setns(descriptor, kind), "setns")


def enter_network(pid: int) -> None:
    """Move this process into the network namespace of ``pid``."""
    with open(f"/proc/{pid}/ns/net", "rb") as namespace:
        setns(namespace.fileno(), CLONE_NEWNET)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    call = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(_libc.mount(*call), f"mount on {target}")


def private_files(shared: typing.Collection[pathlib.Path] = ()) -> None:
    """Give this mount namespace files of its own: what it writes goes to memory and ends with it.

    It starts with the machine's, without those of a Sluice that the machine itself runs. ``shared`` folders are the
    machine's, wherever they lie.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    kept = [(folder, os.open(folder, os.O_PATH)) for folder in shared]
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for directory in PRIVATE_DIRECTORIES:
        if not os.path.isdir(directory):
            continue
        upper, work = (f"/run/.lab{directory}/{part}" for part in ("upper", "work"))
        os.makedirs(upper)
        os.makedirs(work)
        # The merged directory takes its mode from the upper one.
        os.chmod(upper, os.stat(directory).st_mode & 0o7777)
        for path in files_of_sluice(directory):
            hidden = upper + path[len(directory) :]
            os.makedirs(os.path.dirname(hidden), exist_ok=True)
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0))  # to overlayfs: there is no such file
        mount("overlay", directory, "overlay", options=f"lowerdir={directory},upperdir={upper},workdir={work}")
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    os.mkdir("/run/lock")
    os.chmod("/run/lock", 0o1777)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    # Sysctls outside of net are the whole machine's, and so are module parameters: not a lab host's to change.
    mount("/proc/sys", "/proc/sys", flags=MS_BIND)
    mount("/proc/sys/net", "/proc/sys/net", flags=MS_BIND)
    mount("none", "/proc/sys", flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for folder, descriptor in kept:
        folder.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", str(folder), flags=MS_BIND | MS_REC)
        os.close(descriptor)


def files_of_sluice(directory: str) -> list[str]:
    """What a Sluice has below a directory of this machine; a folder stands for all that is in it."""
    places = (place for place in PLACES if f"{place}/".startswith(f"{directory}/"))
    return [path for place in places for path in glob.glob(f"{place}/*sluice*")]


def sysctl(name: str, value: int) -> None:
    pathlib.Path("/proc/sys", name).write_text(f"{value}\n", encoding="ascii")


def start(
    name: str,
    script: pathlib.Path,
    arguments: list[str],
    setup: typing.Callable[[], None],
    shared: typing.Collection[pathlib.Path] = (),
    *,
    lasting: bool = True,
) -> int:
    """Start a host whose first process is ``script NAME ARGUMENTS``; its PID, once it says that it is ready.

    ``setup`` is called in the new host before the script; ``shared`` folders are the machine's, there too. A host that
    is not ``lasting`` ends with this process, however that ends. Raises OSError with what went wrong.
    """
    source = os.open(script, os.O_RDONLY)
    reader, writer = os.pipe()
    with open("/proc/self/ns/pid", "rb") as own:
        unshare(CLONE_NEWPID)  # for the next child
        try:
            first = os.fork()
            if not first:
                os.close(reader)
                _become_host(name, source, arguments, setup, shared, lasting, writer)
        finally:
            setns(own.fileno(), CLONE_NEWPID)
    os.close(writer)
    os.close(source)
    with open(reader, encoding="utf-8") as stream:
        said = stream.read().strip()
    if said != "ready":
        os.waitpid(first, 0)
        raise OSError(f"lab host {name} did not start: {said or 'no word from it'}")
    return first


def _become_host(
    name: str,
    source: int,
    arguments: list[str],
    setup: typing.Callable[[], None],
    shared: typing.Collection[pathlib.Path],
    lasting: bool,
    writer: int,
) -> typing.NoReturn:
    try:
        if not lasting:
            _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        os.setsid()
        unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)
        socket.sethostname(name)
        private_files(shared)
        pathlib.Path("/etc/hostname").write_text(f"{name}\n", encoding="ascii")
        setup()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.set_inheritable(source, True)
        os.set_inheritable(writer, True)
        os.chdir("/")
        # By descriptor: the project may lie where this host has files of its own (/tmp, say).
        command = [PYTHON, "-I", "-S", f"/proc/self/fd/{source}", "--ready", str(writer), name, *arguments]
        os.execve(PYTHON, command, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"})
    except BaseException as error:  # whatever it is, the parent has to hear of it
        os.write(writer, f"{error}\n".encode())
    os._exit(1)
