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
INSIDE = {IPV4: ("10.244.0.0/16", "10.33.0.0/16"), IPV6: ("fd00:244::/48", "fd00:1::/64")}
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
        host.ip(f"rule add iif eth0 lookup 99 {'' if family == IPV4 else 'priority 99'}".rstrip())


def send(probes: Sequence[Probe], seconds: float) -> list[tuple[int, bool]]:
    """The source port of each, and whether it was refused."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sent = []
    for probe in probes:
        family = socket.AF_INET6 if ":" in probe.address else socket.AF_INET
        kind = socket.SOCK_STREAM if probe.protocol == "tcp" else socket.SOCK_DGRAM
        asking = socket.socket(family, kind)
        asking.setblocking(False)
        asking.setsockopt(*_TRANSPARENT[family], 1)
        asking.bind((probe.source, 0))
        refused = False
        try:
            asking.connect((probe.address, probe.port))
            if kind == socket.SOCK_DGRAM:
                asking.send(b"who")
        except OSError as error:
            refused = error.errno == errno.ECONNREFUSED
            if error.errno not in (errno.EINPROGRESS, errno.EPERM, errno.ECONNREFUSED):
                raise OSError(error.errno, f"{probe}: {error.strerror}") from None
        sent.append((asking, refused))
    time.sleep(seconds)
    found = []
    for asking, refused in sent:
        now = asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        found.append((asking.getsockname()[1], refused or now == errno.ECONNREFUSED))
        asking.close()
    return found


_TRANSPARENT = {socket.AF_INET: (socket.IPPROTO_IP, 19), socket.AF_INET6: (socket.IPPROTO_IPV6, 75)}
"""IP_TRANSPARENT and IPV6_TRANSPARENT of Linux: what is sent may have any source."""


def seen(
    some: Mapping[str, hosts.Host], probes: Sequence[Probe], seconds: float
) -> dict[Probe, collections.Counter[Seen]]:
    """Send packets, and ask the conntrack of the host ``node`` for their connections.

    Of a packet that tells nothing by chance, nothing is seen.
    """
    node = some["node"]
    node.run("conntrack", "-F")
    own = {name: [probe for probe in probes if probe.host == name] for name in some}
    tasks = {name: some[name].start(lambda each=each: send(each, seconds)) for name, each in own.items()}  # type: ignore[misc]
    sent = [(probe, *how) for name, task in tasks.items() for probe, how in zip(own[name], task.answer())]
    flows = _flows(node)
    taken = {*flows, *(known.back for known in flows.values())}
    found: dict[Probe, collections.Counter[Seen]] = {probe: collections.Counter() for probe in probes}
    for probe, source_port, refused in sent:
        flow = (probe.protocol, probe.source, source_port, probe.address, probe.port)
        known = flows.get(flow)
        if not (known and _evaded(flow, known, taken)):
            found[probe][_became(flow, known, refused=refused)] += 1
    return found


def _evaded(flow: Flow, known: _Known, taken: Collection[Flow]) -> bool:
    """Whether the port may have been changed only because answers of another connection would come by the same way.

    The kernel does so to what no rule masquerades as well, which is of no use as evidence then.
    """
    protocol, source, source_port, _destination, _port = flow
    _same, whence, whence_port, target, target_port = known.back
    wanted = (protocol, whence, whence_port, source, source_port)
    return target == source and target_port != source_port and wanted in taken


def _became(flow: Flow, known: _Known | None, *, refused: bool) -> Seen:
    stopped = Seen(outcomes.REJECT if refused else outcomes.DROP)
    if known is None:
        return stopped
    _protocol, source, source_port, destination, port = flow
    _same, whence, whence_port, target, target_port = known.back
    if not known.came_in and (addresses.is_loopback(whence) or whence in (*NODE[IPV4], *NODE[IPV6])):
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
