"""What the kernel holds of our tables, and how that is changed: nft(8) is run here, for what is no element."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import itertools
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...addresses import IPV4, IPV6
from ...system import tools
from ...system.tools import NodeError
from ..interface import NO_COUNT, Count, Counters, Entry, KernelChanged, Leftover
from . import elements, netlink, text
from .elements import Elements
from .layout import AFFINITY, FAMILIES, TABLE
from .netlink import Change, Frame
from .text import Skeleton

_CHANGED = (netlink.GENERATION_CHANGED, errno.ENOENT, errno.EEXIST)
"""What the kernel answers where it holds something else than the transaction was made for."""

OTHERS = ("kube-proxy",)
"""Tables of other Service proxies: kube-proxy's nftables mode."""

_BYTES = {IPV4: 4, IPV6: 16}
"""Of an address."""

_OF_SERVICES = ("service-ips", "no-endpoint-services")
"""The maps of such a table whose keys begin with the address of a Service."""


class Held(NamedTuple):
    """What one family's table holds."""

    frame: Frame
    elements: Elements


def frame(family: str) -> Frame | None:
    """The frame of our table; None without one. Raises NodeError."""
    try:
        return netlink.frame(family)
    except (OSError, ValueError) as error:
        raise NodeError(f"table {FAMILIES[family]} {TABLE} cannot be read: {error}") from None


def read(family: str) -> Held | None:
    """What our table holds; None without one. Raises NodeError."""
    about = frame(family)
    try:
        return Held(about, netlink.read(family)) if about else None
    except (OSError, ValueError) as error:
        raise NodeError(f"table {FAMILIES[family]} {TABLE} cannot be read: {error}") from None


def others(family: str) -> list[str]:
    """The tables that another Service proxy has left."""
    return [name for name in OTHERS if netlink.table_exists(family, name)]


def others_text(left: Iterable[Leftover]) -> dict[str, str]:
    """Scripts that make such tables again, by their names; none of what this node's nft cannot print."""
    found = {}
    for name in (f"{FAMILIES[each.family]} {table}" for each in left for table in others(each.family)):
        # nft 1.0.6 is ended by a signal with some tables of nft 1.1.3 (kubernetes#136786).
        done = tools.run(["nft", "list", "table", *name.split()])
        if not done.returncode:
            found[name] = done.stdout
    return found


def service_addresses(family: str, table: str) -> list[str]:
    """The addresses of Services that another proxy's table serves, in its maps of them; none where it has no such map.

    By the kernel itself: nft may not be able to print what another nft has made.
    """
    found: dict[str, None] = {}
    for name in _OF_SERVICES:
        with contextlib.suppress(OSError):
            for key in netlink.keys(family, table, name):
                found.setdefault(str(ipaddress.ip_address(key[: _BYTES[family]])))
    return list(found)


def counters() -> Counters:
    """What our tables count: their chains see the first packet of each connection. Nothing for others than root."""
    found: dict[Entry, Count] = {}
    for family in FAMILIES:
        with contextlib.suppress(OSError):
            for name, key, packets, size in netlink.counted(family):
                where = elements.entry(name, key, family)  # a node port is of both families
                found[where] = found.get(where, NO_COUNT).plus(Count(packets, packets, size))
    return Counters(found)


def devices() -> list[str]:
    """The network devices that there are."""
    return [name for _index, name in socket.if_nameindex()]


def offloading(family: str) -> list[str]:
    """The devices of our table's flowtable. Raises NodeError."""
    try:
        return netlink.offloading(family)
    except OSError as error:
        raise NodeError(f"nf_tables: {error.strerror}") from None


def load(script: str) -> None:
    """Have nft carry out a script, all or nothing. Raises KernelChanged: it may be what changed meanwhile."""
    done = tools.run(["nft", "-f", "-"], script)
    if done.returncode:
        raise KernelChanged(f"nft: {_why(done)}")


def check(script: str) -> None:
    """Have nft and the kernel say whether they could carry out a script. Raises NodeError where they cannot."""
    done = tools.run(["nft", "-c", "-f", "-"], script)
    if done.returncode:
        with_flowtable = ", with a flowtable" if "\tflowtable " in script else ""
        raise NodeError(f"this node's kernel or nft cannot do this{with_flowtable}: {_why(done)}")


def _why(done: subprocess.CompletedProcess[str]) -> str:
    """What nft said first; then it shows where."""
    if done.returncode < 0:
        # nft 1.0.6 with maps of nft 1.1.3: kubernetes#136786.
        return f"it was ended by signal {-done.returncode}, as happens where another nft has made tables"
    return done.stderr.strip().partition("\n")[0] or "it failed without a word"


def commit(changes: Mapping[str, Sequence[Change]], generation: int) -> None:
    """Change elements in one transaction. Raises KernelChanged where the rule set is not of this ``generation``."""
    try:
        netlink.commit(changes, generation)
    except OSError as error:
        raise (KernelChanged if error.errno in _CHANGED else NodeError)(f"nf_tables: {error.strerror}") from None


def note(family: str, made_of: Sequence[str], generation: int) -> None:
    """Keep in our table of which texts it is made. Raises KernelChanged, as ``commit`` does."""
    try:
        netlink.note(family, made_of, generation)
    except OSError as error:
        raise KernelChanged(f"nf_tables: {error.strerror}") from None


def delete_table(family: str, name: str = TABLE) -> None:
    """Delete a table with all that is in it. Raises NodeError."""
    try:
        netlink.delete_table(family, name)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise NodeError(f"table {FAMILIES[family]} {name} cannot be deleted: {error.strerror}") from None


def delete_chains(family: str, names: Iterable[str]) -> None:
    """Delete chains that nothing leads to any more. Raises KernelChanged."""
    try:
        netlink.delete_chains(family, names)
    except OSError as error:
        raise KernelChanged(f"nf_tables: {error.strerror}") from None


# --- scripts for nft


def whole(family: str, skeleton: Skeleton) -> str:
    """Makes a table without elements."""
    return _table(family, _all_parts(skeleton))


def chains(family: str, skeleton: Skeleton, names: Iterable[str]) -> str:
    """Makes chains, in a table that has none of these names."""
    return _table(family, _parts("chain", {name: skeleton.chains[name] for name in names}))


def anew(family: str, skeleton: Skeleton, lines: Mapping[str, Iterable[str]]) -> str:
    """Makes a table anew with all elements, in the place of the one that there is."""
    return text.written(family, "".join(_all_parts(skeleton)), {name: text.lines(each) for name, each in lines.items()})


def affinity(family: str, most: int) -> dict[str, list[str]]:
    """The lines of what the kernel remembers of clients, ``most`` of them, with what is left of their time.

    Raises NodeError.
    """
    try:
        return {AFFINITY: list(itertools.islice(netlink.remembered(family), most))}
    except OSError as error:
        raise NodeError(f"nf_tables: {error.strerror}") from None


def chains_anew(family: str, skeleton: Skeleton) -> str:
    """Gives all chains their rules anew, whatever rules they have."""
    return f"flush table {FAMILIES[family]} {TABLE}\n" + chains(family, skeleton, skeleton.chains)


def _table(family: str, parts: Iterable[str]) -> str:
    return f"table {FAMILIES[family]} {TABLE} {{\n{''.join(parts)}}}\n"


def _all_parts(skeleton: Skeleton) -> list[str]:
    return [
        *_parts("map", skeleton.sets),
        *_parts("flowtable", skeleton.flowtables),
        *_parts("chain", skeleton.chains),
    ]


def _parts(kind: str, bodies: Mapping[str, str]) -> list[str]:
    named = {name: text.SETS.get(name, kind) for name in bodies}
    return [f"\t{named[name]} {name} {{\n{body}\t}}\n" for name, body in bodies.items()]


def listed(family: str) -> str:
    """The table as nft lists it, without elements. Raises NodeError."""
    return tools.output(["nft", "-s", "-t", "list", "table", FAMILIES[family], TABLE])
