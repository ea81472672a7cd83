"""Who listens on the TCP ports of this network namespace."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

_TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LISTENING = "0A"
"""TCP_LISTEN of the kernel's net/tcp_states.h, as proc(5) shows it."""


def holders(ports: Collection[int]) -> dict[int, Holder]:
    """The process that listens on each of ``ports``, as far as that can be seen from here.

    One of another network namespace that was given such a socket counts as well. Reads the descriptors of all
    processes: some hundredths of a second where there are thousands.
    """
    sockets = {f"socket:[{inode}]": port for port, inode in _listening() if port in ports}
    found: dict[int, Holder] = {}
    for folder in sorted(glob.glob("/proc/[0-9]*/fd"), key=_pid) if sockets else ():
        for link in _links(folder):
            if link in sockets:
                found.setdefault(sockets[link], _process(folder))
        if len(found) == len(ports):
            break
    return found


class Holder(NamedTuple):
    """A process that has a socket."""

    command: str
    pid: int

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})"


def listening(ports: Collection[int]) -> set[int]:
    """Those of ``ports`` that somebody listens on."""
    return {port for port, _inode in _listening() if port in ports}


def _listening() -> Iterator[tuple[int, str]]:
    """Ports that are listened on, and the inode of the socket (proc(5))."""
    for table in _TABLES:
        with contextlib.suppress(OSError), open(table, encoding="ascii") as stream:
            stream.readline()  # the head
            for fields in map(str.split, stream):
                if fields[3] == _LISTENING:
                    yield int(fields[1].rpartition(":")[2], 16), fields[9]


def _links(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError):  # it has ended, or is somebody else's
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                yield os.readlink(f"{folder}/{name}")


def _pid(folder: str) -> int:
    return int(folder.split("/")[2])


def _process(folder: str) -> Holder:
    name = "a process"
    with contextlib.suppress(OSError), open(f"{os.path.dirname(folder)}/comm", encoding="utf-8") as stream:
        name = stream.read().strip()
    return Holder(name, _pid(folder))
