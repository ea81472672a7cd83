"""First packets of many connections, and what conntrack of the node between them says of each: nobody has to answer.

A node between clients and endpoints, each of which is one host that has whole networks of addresses. Both say nothing
to what reaches them, so that conntrack keeps every connection as its first packet left it.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import re
import resource
import socket
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import hosts

from sluice import addresses
from sluice.addresses import IPV4, IPV6
from sluice.observe import outcomes

NODE = {IPV4: ("10.0.0.10", "192.168.50.10"), IPV6: ("fd00:10::10",)}
"""The addresses of the node, as the recorded cases have them."""

OUTSIDE = {IPV4: ("0.0.0.0/1", "128.0.0.0/1"), IPV6: ("::/1", "8000::/1")}
INSIDE = {
    IPV4: ("10.244.0.0/16", "10.33.0.0/16", "10.1.0.0/16", "172.33.0.0/24"),
    IPV6: ("fd00:244::/32", "fd00:1::/64"),
}
"""Networks of endpoints. All other addresses are those of clients."""

_LINK = {IPV4: ("169.254.1.1", "169.254.1.2"), IPV6: ("fd00:fe::1", "fd00:fe::2")}
_GATEWAY = {IPV4: ("169.254.2.1", "169.254.2.2"), IPV6: ("fd00:fd::1", "fd00:fd::2")}

_SILENT = (
    "add table inet silent; add chain inet silent here { type filter hook input priority 0; };"
    "add rule inet silent here ct state new drop"
)
_WITNESS = (
    "add table inet witness;"
    "add chain inet witness output { type filter hook output priority -400; };"
    "add rule inet witness output tcp flags & (rst | syn) == rst drop;"
    "add chain inet witness input { type filter hook input priority 1000; };"
    "add rule inet witness input ct state new ct mark set 1"
)
"""A reset alone takes a connection out of conntrack: the node sends none. What comes in to the node itself is marked:
conntrack has what the node sends to itself before rules of input see it."""


class Probe(NamedTuple):
    """The first packet of a connection: who sends it (a host's name, one of its addresses), and where to."""

    host: str
    source: str
    protocol: str
    address: str
    port: int


class Seen(NamedTuple):
    """What became of a packet, in the words of ``outcomes.Outcome``."""

    verdict: str
    endpoint: str = ""
    masquerade: bool = False


Flow = tuple[str, str, int, str, int]
"""Protocol, source and its port, destination and its port."""


class Stage(NamedTuple):
    """The hosts, by their names: ``node``, ``client`` and ``pods``."""

    found: Mapping[str, hosts.Host]

    @property
    def node(self) -> hosts.Host:
        return self.found["node"]

    def seen(self, probes: Sequence[Probe], seconds: float = 0.2) -> dict[Probe, collections.Counter[Seen]]:
        """What became of packets, how often; ``seconds``: how long one that is not refused is waited for."""
        return seen(self.found, probes, seconds)


class Ports:
    """Source ports, each once for a source: IPVS remembers a connection longer than conntrack is let to."""

    FIRST, LAST = 10000, 65535

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def next(self, source: str) -> int:
        found = self._next.get(source, self.FIRST)
        self._next[source] = found + 1 if found < self.LAST else self.FIRST
        return found


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    with contextlib.ExitStack() as opened:
        found = {name: opened.enter_context(hosts.Host(name)) for name in ("node", "client", "pods")}
        node = found["node"]
        for name in ("client", "pods"):
            found[name].ip(f"link add eth0 type veth peer name {name} netns {node.pid}", "link set eth0 up")
            found[name].shell("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
            node.ip(f"link set {name} up")
        for family in (IPV4, IPV6):
            _wire(found, family)
        for name in ("client", "pods"):
            found[name].run("nft", _SILENT)
        node.run("nft", _WITNESS)
        many_refusals(found.values())
        yield Stage(found)


def many_refusals(some: Iterable[hosts.Host]) -> None:
    """A refusal that is not told looks like a drop. Linux before 6.13 has one limit for all namespaces."""
    for host in some:
        host.shell("sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0")
        host.run("sysctl", "-qw", "net.ipv4.icmp_msgs_per_sec=1000000", "net.ipv4.icmp_msgs_burst=100000", check=False)


def _wire(found: Mapping[str, hosts.Host], family: str) -> None:
    node = found["node"]
    length, nodad = (30, "") if family == IPV4 else (64, "nodad")
    bits = 32 if family == IPV4 else 128
    node.ip(*(f"address add {address}/{bits} dev lo" for address in NODE[family]))
    for name, (here, there), networks in (
        ("client", _GATEWAY[family], OUTSIDE[family]),
        ("pods", _LINK[family], INSIDE[family]),
    ):
        host = found[name]
        node.ip(f"address add {here}/{length} dev {name} {nodad}")
        node.ip(*(f"route add {network} via {there}" for network in networks))
        host.ip(f"address add {there}/{length} dev eth0 {nodad}")
        host.ip("route add default via " + here)
        # What is sent from any of these addresses goes by the node, wherever to.
        host.ip(*(f"route add local {network} dev lo table 99" for network in networks))
        host.run("ip", "-4" if family == IPV4 else "-6", "rule", "add", "iif", "eth0", "lookup", "99")


def send(probes: Sequence[Probe], ports: Sequence[int], seconds: float) -> list[tuple[int, bool]]:
    """The source port of each, and whether it was refused.

    ``ports``: those to send from, 0 where any will do; SCTP needs one.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sent = []
    for probe, port in zip(probes, ports):
        family = socket.AF_INET6 if ":" in probe.address else socket.AF_INET
        is_sctp = probe.protocol == "sctp"
        kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_RAW}[probe.protocol]
        asking = socket.socket(family, kind, socket.IPPROTO_SCTP if is_sctp else 0)
        asking.setblocking(False)
        asking.setsockopt(*_TRANSPARENT[family], 1)
        if is_sctp:
            asking.setsockopt(*_ERRORS[family], 1)
        asking.bind((probe.source, 0 if is_sctp else port))
        refused = False
        try:
            asking.connect((probe.address, 0 if is_sctp else probe.port))
            if kind == socket.SOCK_DGRAM:
                asking.send(b"who")
            elif is_sctp:
                asking.send(_sctp_init(port, probe.port))
        except OSError as error:
            refused = error.errno == errno.ECONNREFUSED
            if error.errno not in (errno.EINPROGRESS, errno.EPERM, errno.ECONNREFUSED):
                raise OSError(error.errno, f"{probe}: {error.strerror}") from None
        sent.append((asking, port if is_sctp else asking.getsockname()[1], refused))
    time.sleep(seconds)
    found = []
    for (asking, port, refused), probe in zip(sent, probes):
        if probe.protocol == "sctp":
            refused = _sctp_refused(asking, port)
        else:
            refused = refused or asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        found.append((port, refused))
        asking.close()
    return found


_TRANSPARENT = {socket.AF_INET: (socket.IPPROTO_IP, 19), socket.AF_INET6: (socket.IPPROTO_IPV6, 75)}
"""IP_TRANSPARENT and IPV6_TRANSPARENT of Linux: what is sent may have any source."""

_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR."""


def _sctp_init(source_port: int, port: int) -> bytes:
    """The first packet of an association (RFC 9260, 3): SCTP's own sockets have no source but an interface's."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 1, 65536, 1, 1, 1)
    start = struct.pack("!HHI", source_port, port, 0)
    return start + struct.pack("<I", _crc32c(start + bytes(4) + chunk)) + chunk


def _crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _bit in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def _sctp_refused(asking: socket.socket, source_port: int) -> bool:
    """A raw socket is told of all refusals between two addresses, each with the packet that it is of."""
    try:
        while True:
            packet, control, _flags, _address = asking.recvmsg(64, 512, socket.MSG_ERRQUEUE)
            number = struct.unpack_from("=I", control[0][2])[0] if control else 0
            if number == errno.ECONNREFUSED and packet[:2] == struct.pack("!H", source_port):
                return True
    except BlockingIOError:
        return False


def seen(
    some: Mapping[str, hosts.Host],
    probes: Sequence[Probe],
    seconds: float,
    bound: Collection[str] = (),
    ports: Ports | None = None,
) -> dict[Probe, collections.Counter[Seen]]:
    """Send packets, and ask the conntrack of the host ``node`` for their connections.

    Of a packet that tells nothing by chance, nothing is seen. ``bound``: addresses of the node besides NODE.
    """
    node = some["node"]
    node.run("conntrack", "-F")
    own = {name: [probe for probe in probes if probe.host == name] for name in some}
    tasks = {}
    for name, each in own.items():
        froms = [ports.next(probe.source) if ports else 0 for probe in each]
        tasks[name] = some[name].start(lambda each=each, froms=froms: send(each, froms, seconds))  # type: ignore[misc]
    sent = [(probe, *how) for name, task in tasks.items() for probe, how in zip(own[name], task.answer())]
    here = {*NODE[IPV4], *NODE[IPV6], *bound}
    flows = _flows(node)
    taken = {*flows, *(known.back for known in flows.values())}
    found: dict[Probe, collections.Counter[Seen]] = {probe: collections.Counter() for probe in probes}
    for probe, source_port, refused in sent:
        flow = (probe.protocol, probe.source, source_port, probe.address, probe.port)
        known = flows.get(flow)
        if not (known and _evaded(flow, known, taken)):
            found[probe][_became(flow, known, here, refused=refused)] += 1
    return found


def _evaded(flow: Flow, known: _Known, taken: Collection[Flow]) -> bool:
    """Whether the port may have been changed only because answers of another connection would come by the same way.

    The kernel does so to what no rule masquerades as well, which is of no use as evidence then.
    """
    protocol, source, source_port, _destination, _port = flow
    _same, whence, whence_port, target, target_port = known.back
    wanted = (protocol, whence, whence_port, source, source_port)
    return target == source and target_port != source_port and wanted in taken


def _became(flow: Flow, known: _Known | None, here: Collection[str], *, refused: bool) -> Seen:
    stopped = Seen(outcomes.REJECT if refused else outcomes.DROP)
    if known is None:
        return stopped
    _protocol, source, source_port, destination, port = flow
    _same, whence, whence_port, target, target_port = known.back
    if not known.came_in and (addresses.is_loopback(whence) or whence in here):
        return stopped
    masquerade = (target, target_port) != (source, source_port)
    if (whence, whence_port) == (destination, port):
        return Seen(outcomes.PASS, masquerade=masquerade)
    return Seen(outcomes.ENDPOINT, addresses.host_port(whence, whence_port), masquerade)


class _Known(NamedTuple):
    """What conntrack has of a connection: the way of its answers, and whether rules of input let it come in."""

    back: Flow
    came_in: bool


_TUPLE = re.compile(r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")


def _flows(node: hosts.Host) -> dict[Flow, _Known]:
    """All connections, by the way of their first packets."""
    found = {}
    for family in ("ipv4", "ipv6"):
        for line in node.run("conntrack", "-L", "-f", family).stdout.splitlines():
            protocol = line.split(None, 1)[0]
            ways = [
                (protocol, addresses.address(way[1]), int(way[3]), addresses.address(way[2]), int(way[4]))
                for way in _TUPLE.finditer(line)
            ]
            if len(ways) == 2:
                found[ways[0]] = _Known(ways[1], " mark=1 " in line)
    return found
