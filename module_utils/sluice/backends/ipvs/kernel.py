"""What the kernel holds of IPVS mode, and how it is changed: ipset, ipvsadm and ip are run here."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from ... import addresses
from ...system import links, linux, tools
from ...system.tools import NodeError
from ..interface import Counters, Leftover
from . import counters, ipset_text, netlink, text
from .plan import Draining, Step
from .tables import DEVICE, SET_NAMES, SETS_OF, Tables, members, node_port_member
from .text import VirtualAddress

_MARK = "sluice"
"""The alias of kube-ipvs0 where Sluice has made it, or taken it over (ip-link(8))."""

_IN_USE = "/proc/net/ip_vs"
_CONNECTIONS = "/proc/net/ip_vs_conn"
_OVER = ("TIME_WAIT", "CLOSE", "CLOSED", "REJECTED")
"""States in which a connection needs its real server no more."""

_TEMPLATE = "0000"
"""The client's port in what is no connection: by a template the kernel remembers the endpoint of a client."""


class Held(NamedTuple):
    """What the kernel holds: our sets and all virtual servers as text, the prefixes on kube-ipvs0.

    ``own``: the node's other addresses.
    """

    sets: str
    servers: str
    addresses: tuple[str, ...]
    own: frozenset[str]

    def leftovers(self) -> list[Leftover]:
        """What is here, as another Service proxy's that has left kube-ipvs0."""
        servers, sets = text.parse(self.servers), ipset_text.parse(self.sets)
        found = []
        for family in addresses.FAMILIES:
            bound = [prefix.partition("/")[0] for prefix in self.addresses if addresses.family_of(prefix) == family]
            served = [virtual.address for virtual in servers if virtual.address in bound]
            own = [name for name in sets if name in SETS_OF[family]]
            if bound or own:
                counts = f"addresses ({len(bound)}), virtual servers ({len(served)}) and sets ({len(own)})"
                name = f"{DEVICE} with {counts}" if bound else f"sets such as {own[0]} ({len(own)})"
                found.append(Leftover(f"{name} of {family}", family, list(dict.fromkeys(served))))
        return found or [Leftover(f"the device {DEVICE}", addresses.IPV4)]

    def ours(self, claims: Collection[str]) -> Tables:
        """All that is ours, as objects; of the virtual servers those that we claim."""
        servers = text.parse(self.servers)
        held = {frontend: server for frontend, server in servers.items() if frontend.text in claims}
        return Tables(ipset_text.parse(self.sets), held, self.addresses)

    def evident(self, unclaimed: Iterable[str], named: Collection[str], *, lost: bool) -> set[str]:
        """The virtual servers among ``unclaimed`` that are Sluice's by what else the kernel holds.

        A virtual server is claimed before a set of ours names it. So where a set names one, the claims are older than
        the kernel, and as good as ``lost``. Then all that kube-ipvs0 has the address of is ours, as nobody else binds
        any there, and what the node's files have ``named``, and node ports at an address of the node's own.
        """
        found = text.parse("".join(f"-A {name} -s rr\n" for name in unclaimed))
        lines = frozenset(self.sets.splitlines()) if found else frozenset()
        by_sets = {virtual for virtual in found if not lines.isdisjoint(members(virtual))}
        if not (by_sets or lost):
            return set()
        bound = {prefix.partition("/")[0] for prefix in self.addresses}
        return {
            virtual.text
            for virtual in found
            if virtual in by_sets
            or virtual.address in bound
            or virtual.text in named
            or (virtual.address in self.own and node_port_member(virtual) in lines)
        }


def device_exists() -> bool:
    """Whether kube-ipvs0 is there, in this network namespace."""
    return any(name == DEVICE for _index, name in socket.if_nameindex())


def require(*, load: bool) -> None:
    """Have the kernel do IPVS; without ``load`` only see whether it could. Raises NodeError where it cannot."""
    if os.path.exists(_IN_USE):
        return
    if load:
        linux.load_module("ip_vs")
    if not (os.path.exists(_IN_USE) if load else linux.module_loadable("ip_vs")):
        raise NodeError("this node's kernel has no IPVS (module ip_vs); nothing was changed")


def read() -> Held:
    """Read all of it. What is not installed holds nothing, nor does a module that is not loaded."""
    saved = tools.reading(["ipset", "save"]) if _has_sets() else str  # it takes its time, on another processor
    servers = _servers()
    devices = links.prefixes()
    sets = "".join(f"{line}\n" for line in saved().splitlines() if line.split(" ", 2)[1] in SET_NAMES)
    return Held(sets, servers, devices.get(DEVICE, ()), frozenset(links.own_addresses(devices, [DEVICE])))


def carry_out(steps: Iterable[Step]) -> None:
    """Send steps to the kernel. Raises NodeError; lines before the one that was refused are then in force."""
    for step in steps:
        if step.tool == "ipset":
            tools.output(["ipset", "restore", "-exist"], step.text)
        elif step.tool == "ipvsadm":
            tools.output(["ipvsadm", "-R"], step.text)
        else:
            lines = (line.split() for line in step.text.splitlines())
            _ip(f"address {verb} {prefix} dev {DEVICE}" for verb, prefix in lines)


def take_away(steps: Iterable[Step]) -> None:
    """Carry out steps that remove addresses, virtual servers and sets; what is not there any more is fine."""
    there = {f"del {prefix}" for prefix in links.prefixes().get(DEVICE, ())}
    there.update(f"destroy {name}" for name in _references())
    there.update(f"-D {name}" for name in text.names(_servers()))
    for step in steps:
        lines = "".join(f"{line}\n" for line in step.text.splitlines() if line in there)
        carry_out([Step(step.tool, lines)] if lines else [])


def delete(gone: Collection[Draining]) -> None:
    """Remove real servers that take no new connections; one that is not there any more is fine.

    One with a weight came back, and whoever brought it could not write that down.
    """
    listed = _listed_real({entry.virtual for entry in gone}) if gone else ()
    empty = {entry for entry, weight, _connections in listed if not weight}
    text = "".join(f"{entry.delete}\n" for entry in gone if entry in empty)
    carry_out([Step("ipvsadm", text)] if text else [])


def serves() -> bool:
    """Whether IPVS mode is in use: rules name our sets."""
    return any(_references().values())


def _references() -> dict[str, int]:
    """How many rules name each of our sets."""
    if not _has_sets():
        return {}
    fields = (line.partition(": ") for line in tools.output(["ipset", "list", "-terse"]).splitlines())
    told = [value for key, _colon, value in fields if key in ("Name", "References")]
    return {name: int(count) for name, count in zip(told[::2], told[1::2]) if name in SET_NAMES}


def _has_sets() -> bool:
    """Whether there may be sets; to ask a kernel that has none loads the module."""
    return bool(tools.find("ipset")) and linux.module_present("ip_set")


def has_sets_of_services() -> bool:
    """Whether there are sets with our names, whoever made them."""
    return _has_sets() and not SET_NAMES.isdisjoint(tools.output(["ipset", "list", "-name"]).split())


def make_device() -> None:
    """Have kube-ipvs0 there, marked as ours: down and without ARP, as kube-proxy leaves it; the addresses are local all
    the same."""
    made = [] if device_exists() else [f"link add {DEVICE} type dummy", f"link set {DEVICE} arp off"]
    _ip([*made, f"link set {DEVICE} alias {_MARK}"])


def unmark_device() -> None:
    """Have kube-ipvs0 say that it is nobody's of Sluice."""
    _ip([f"link set {DEVICE} alias ''"])


def device_is_marked() -> bool:
    """Whether kube-ipvs0 is there and says that it is ours."""
    return device_exists() and any(each.get("ifalias") == _MARK for each in links.ask("link", "show", "dev", DEVICE))


def remove_device() -> None:
    """Take kube-ipvs0 away, once nothing is bound to it."""
    if device_exists() and not links.prefixes().get(DEVICE):
        _ip([f"link delete {DEVICE}"])


def busy(frontends: Collection[VirtualAddress]) -> set[Draining]:
    """The real servers of ``frontends`` that have connections which are not over.

    /proc/net/ip_vs_conn says in what state each is, and lists all connections of the node: call this only while
    something drains. It may miss a few while it is read, but the kernel counts the active ones exactly.
    """
    if not frontends:
        return set()
    alive = _listed(frontends)
    return {entry for entry, _weight, active in _listed_real(frontends) if active or entry in alive}


def _listed_real(frontends: Collection[VirtualAddress]) -> Iterator[tuple[Draining, int, int]]:
    """The real servers of ``frontends``, with the weight of each and how many active connections it has."""
    if not os.path.exists(_IN_USE):
        return
    with open(_IN_USE, encoding="ascii") as stream:
        found = _counted(stream, {_listed_words(each): each for each in frontends})
    for frontend, real in found.items():
        yield from ((Draining(frontend, text.listed_address(where)), *counts) for where, counts in real.items())
    hidden = [each for each in frontends if each not in found]
    if hidden:  # gone, or not in that list though it is there (text.from_proc)
        printed = tools.output(["ipvsadm", "-L", "-n"]).splitlines()
        words = {(each.protocol.upper(), addresses.host_port(each.address, each.port)): each for each in hidden}
        for frontend, real in _counted(printed, words).items():
            yield from ((Draining(frontend, where), *counts) for where, counts in real.items())


def counted() -> Counters:
    """What virtual servers have counted; nothing on a node that others alone use IPVS on. Raises NodeError."""
    if os.geteuid() or not os.path.exists(_IN_USE) or not tools.find("ipvsadm"):
        return Counters()  # asking would load the module
    return counters.counters(tools.output(["ipvsadm", "-L", "-n", "--stats", "--exact"]).splitlines())


def _listed_words(frontend: VirtualAddress) -> tuple[str, str]:
    """How /proc/net/ip_vs begins the line of a virtual server."""
    protocol, address, port = _columns(frontend)
    return protocol, f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _counted(
    lines: Iterable[str], wanted: Mapping[tuple[str, str], VirtualAddress]
) -> dict[VirtualAddress, dict[str, tuple[int, int]]]:
    """Weight and active connections of each real server, in the columns that the kernel and ``ipvsadm -L`` have."""
    found: dict[VirtualAddress, dict[str, tuple[int, int]]] = {}
    frontend = None
    for line in lines:
        words = line.split()
        if not line.startswith(" "):
            frontend = wanted.get((words[0], words[1]))
            if frontend:
                found[frontend] = {}
        elif frontend:
            found[frontend][words[1]] = int(words[3]), int(words[4])
    return found


def _listed(frontends: Collection[VirtualAddress]) -> set[Draining]:
    with contextlib.suppress(OSError), open(_CONNECTIONS, encoding="ascii") as stream:
        return connected(stream, frontends)
    return set()


def connected(lines: Iterable[str], frontends: Collection[VirtualAddress]) -> set[Draining]:
    """The real servers of ``frontends`` that have a connection which still needs them, in /proc/net/ip_vs_conn.

    One in SYN_SENT counts: the client uses its port again for a connection that another backend has translated, and
    the answer revived IPVS's old entry. Deleting that would delete conntrack's entry too (ip_vs_conn_drop_conntrack).
    """
    wanted = {_columns(frontend): frontend for frontend in frontends}
    found: set[Draining] = set()
    for line in lines:
        words = line.split()
        frontend = wanted.get((words[0], words[3], words[4]))
        if frontend and words[2] != _TEMPLATE and words[7] not in _OVER:
            real = str(ipaddress.ip_address(int(words[5], 16) if len(words[5]) == 8 else words[5]))
            found.add(Draining(frontend, addresses.host_port(real, int(words[6], 16))))
    return found


def _columns(frontend: VirtualAddress) -> tuple[str, str, str]:
    """Protocol, address and port of a virtual server as /proc/net/ip_vs_conn writes them."""
    ip = ipaddress.ip_address(frontend.address)
    address = f"{int(ip):08X}" if ip.version == 4 else ip.exploded
    return frontend.protocol.upper(), address, f"{frontend.port:04X}"


def _servers() -> str:
    """All virtual servers, in the form of ``ipvsadm -Sn``."""
    try:
        with open(_IN_USE, encoding="ascii") as stream:
            listed = stream.read()
    except FileNotFoundError:
        return ""  # the kernel does no IPVS yet, and asking would load the modules
    try:
        return text.from_proc(listed, netlink.options())
    except (OSError, LookupError, ValueError):
        # Somebody has added one in between, or this kernel tells it in other words.
        return tools.output(["ipvsadm", "-S", "-n"])


def _ip(lines: Iterable[str]) -> None:
    tools.output(["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))
