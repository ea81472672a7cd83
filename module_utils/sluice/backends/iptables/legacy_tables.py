"""The tables of iptables-legacy as the kernel gives them, and whether they are still what they were.

iptables-legacy counts no changes, so its tables have to be read and compared. The kernel gives each as one piece of
memory (IPT_SO_GET_ENTRIES of linux/netfilter_ipv4/ip_tables.h and its twin for IPv6) in a third of the time that
iptables-legacy-save takes to make a text of it. The pieces are kept below /run, which is memory and ends with the boot
as they do: 27 MB for 5,000 Services of 5 endpoints. A digest would be small, but takes as long as the reading again.

Only counters change without a change of rules, and they are left out. Whatever else is not as expected is a change:
then the rules are read as text, which takes longer and is never wrong.
"""

from __future__ import annotations

import errno
import functools
import mmap
import os
import shutil
import socket
import struct
import time
from collections.abc import Callable, Collection
from typing import NamedTuple, TypeVar, Union

from ... import addresses
from ...system import locks
from ...system.threads import beside

ROOT = locks.RUN
PREFIX = "tables-"
"""The prefix of the names that ``keep`` gives."""

_NAMES = {addresses.IPV4: "/proc/net/ip_tables_names", addresses.IPV6: "/proc/net/ip6_tables_names"}


class Layout(NamedTuple):
    """How one family is asked, and the form of a rule (struct ipt_entry, ip6t_entry): places in it, in bytes."""

    domain: int
    level: int
    next_offset: int
    """Where 16 bits say how long the rule is."""

    counters: int
    """Where the rule's counters are, two of 64 bits."""

    least: int
    """How long a rule is without matches and target."""


LAYOUTS = {
    addresses.IPV4: Layout(socket.AF_INET, socket.IPPROTO_IP, 90, 96, 112),
    addresses.IPV6: Layout(socket.AF_INET6, socket.IPPROTO_IPV6, 142, 152, 168),
}
_GET_INFO, _GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32s48xI4x")
"""struct ipt_getinfo, _INFO_SIZE bytes: the table's name and, behind others, its size in bytes. Then a gap."""

_INFO_SIZE = 84
_ENTRIES = struct.Struct("=32sI4x")
"""struct ipt_get_entries up to the first rule."""

HEAD = _INFO.size + _ENTRIES.size
"""Bytes of a piece before the first rule: what both answers of the kernel begin with."""

_ATTEMPTS = 5
"""How often a table is read that is replaced by a larger or smaller one between the two questions."""

_BLOCK = 64
"""Rules that are compared at once."""

_FAULTS = (OSError, ValueError, ImportError)

Kept = Union[bytes, mmap.mmap]
Room = TypeVar("Room", bytearray, mmap.mmap)


def names(family: str) -> list[str]:
    """The tables of a family that there are in this network namespace. To ask for another one would make it."""
    try:
        with open(_NAMES[family], encoding="ascii") as stream:
            return stream.read().split()
    except OSError:
        return []


def same(kept: Kept, now: bytearray, layout: Layout) -> bool:
    """Whether two pieces hold the same table, whatever its counters are. ``now`` may get those of ``kept``."""
    if now == memoryview(kept):
        return True
    if len(now) != len(kept) or len(kept) % 8 or len(kept) < HEAD:
        return False
    old, new = memoryview(kept).cast("Q"), memoryview(now).cast("Q")
    lengths = memoryview(kept).cast("H")
    place, end, least = HEAD // 8, len(old), layout.least // 8
    if old[:place] != new[:place]:
        return False
    length_at, counters_at = layout.next_offset // 2, layout.counters // 8
    while place < end:
        begin = place
        rules: list[int] = []
        while place < end and len(rules) < _BLOCK:
            length = lengths[4 * place + length_at] // 8 if place + least <= end else 0
            if length < least:
                return False
            rules.append(place)
            place += length
        if old[begin:place] == new[begin:place]:
            continue
        for counters in (rule + counters_at for rule in rules):
            new[counters], new[counters + 1] = old[counters], old[counters + 1]
        # A rule's length is compared as well, so both have the next one at the same place.
        if place > end or old[begin:place] != new[begin:place]:
            return False
    return True


def keep(known: str = "", changed: Collection[tuple[str, str]] = ()) -> str:
    """Keep the tables of both families as they are now. Returns a name for that, ``""`` where it cannot be done.

    ``known``: the name under which they are kept already but for those ``changed`` (family and table) since. Whoever
    calls this has the xtables lock: what others change meanwhile would be kept as well.
    """
    name = f"{PREFIX}{time.time_ns():x}"
    folder = f"{ROOT}/{name}"
    try:
        os.makedirs(ROOT, mode=0o700, exist_ok=True)
        for other in os.listdir(ROOT):
            if other.startswith(PREFIX) and other != known:
                shutil.rmtree(f"{ROOT}/{other}")
        if known:
            os.rename(f"{ROOT}/{known}", folder)
        else:
            os.mkdir(folder, mode=0o700)
        there = {f"{family} {table}": (family, table) for family in addresses.FAMILIES for table in names(family)}
        held = os.listdir(folder)
        for file in held:
            if file not in there:
                os.unlink(f"{folder}/{file}")
        for file, (family, table) in there.items():
            if file not in held or (family, table) in changed:
                _read(family, table, functools.partial(_in_file, f"{folder}/{file}"))
    except _FAULTS:
        return ""
    return name


def unchanged(name: str) -> bool:
    """Whether the tables are still those that were kept as ``name``."""
    if not names(addresses.IPV6):  # soon done
        return all(_unchanged(name, family) for family in addresses.FAMILIES)
    with beside(lambda: _unchanged(name, addresses.IPV6)) as answer:
        return _unchanged(name, addresses.IPV4) and answer()


def _unchanged(name: str, family: str) -> bool:
    try:
        held = {file for file in os.listdir(f"{ROOT}/{name}") if file.startswith(f"{family} ")}
        # Room is made before the kernel is asked, which may have to answer somebody else first.
        comparisons = [_comparison(f"{ROOT}/{name}/{file}", family) for file in held]
        return held == {f"{family} {table}" for table in names(family)} and all(compare() for compare in comparisons)
    except _FAULTS:
        return False


def _comparison(path: str, family: str) -> Callable[[], bool]:
    with open(path, "rb") as stream:
        kept = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    memory = bytearray(len(kept))

    def room(size: int) -> bytearray:
        if size != len(memory):
            raise ValueError("not the size that was kept")
        return memory

    return lambda: same(kept, _read(family, path.rpartition(" ")[2], room), LAYOUTS[family])


def _read(family: str, table: str, room: Callable[[int], Room]) -> Room:
    """The table as it is now. Raises OSError or ImportError.

    ``room`` gives memory that is zero: the kernel leaves out what is behind the end of a name.
    """
    if struct.calcsize("P") != 8:
        raise OSError(errno.ENOTSUP, "the forms of 32 bits are others")
    layout = LAYOUTS[family]
    with socket.socket(layout.domain, socket.SOCK_RAW, socket.IPPROTO_RAW) as link:
        for attempt in range(1, _ATTEMPTS + 1):
            info = bytearray(_INFO.pack(table.encode(), 0))
            _ask(link, layout, _GET_INFO, info, 0, _INFO_SIZE)
            size = _INFO.unpack(info)[1]
            piece = room(HEAD + size)
            piece[:HEAD] = bytes(info) + _ENTRIES.pack(table.encode(), size)
            try:
                _ask(link, layout, _GET_ENTRIES, piece, _INFO.size, _ENTRIES.size + size)
            except BlockingIOError:  # EAGAIN: its size is another one by now
                if attempt == _ATTEMPTS:
                    raise
            else:
                return piece
    raise AssertionError("unreachable")


def _ask(
    link: socket.socket, layout: Layout, option: int, memory: bytearray | mmap.mmap, place: int, size: int
) -> None:
    """getsockopt(2) into ``memory`` at ``place``: Python's own gives 1,024 bytes at most."""
    import ctypes  # here: not every Python has it

    libc = ctypes.CDLL(None, use_errno=True)
    room, length = (ctypes.c_char * size).from_buffer(memory, place), ctypes.c_uint32(size)
    if libc.getsockopt(link.fileno(), layout.level, option, room, ctypes.byref(length)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _in_file(path: str, size: int) -> mmap.mmap:
    """Memory that is a file. There is room for all of it: else writing to it would end this process."""
    with open(path, "w+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, size)
        return mmap.mmap(stream.fileno(), size)
