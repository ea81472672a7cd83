"""A load balancer between clients of two networks and three endpoints of one address each; what a request becomes."""

from __future__ import annotations

import contextlib
import errno
import selectors
import signal
import socket
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import hosts

from sluice.addresses import IPV4, IPV6

PORT, HOST_PORT = 8080, 9080
NODE = {IPV4: ("192.0.2.1", "198.51.100.1"), IPV6: ("fd00:c::1", "fd00:d::1")}
"""The load balancer's own addresses, one in each network of clients. The first one serves on PORT as well."""

CLIENTS = {
    IPV4: ("192.0.2.2", "192.0.2.3", "198.51.100.5", "198.51.100.200"),
    IPV6: ("fd00:c::2", "fd00:c::3", "fd00:d::5", "fd00:d::1:5"),
}
CROWD = {IPV4: "198.18.{}.{}", IPV6: "2001:db8:c::{:x}:{:x}"}
"""Addresses of ``client`` besides, many of them, each with two numbers."""

PODS = {IPV4: ("10.1.0.11", "10.1.0.12", "10.1.0.13"), IPV6: ("fd00:1::11", "fd00:1::12", "fd00:1::13")}
GATEWAY = {IPV4: "169.254.1.1", IPV6: "fe80::1"}
_LENGTH = {IPV4: (24, 32), IPV6: (64, 128)}

DROPPED, REFUSED = "dropped", "refused"
_SECONDS = 0.6
"""Without an answer until then, a request was dropped. Whoever finds a difference asks again, with more patience."""

_AT_ONCE = 48
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset and leaves no TIME_WAIT for the next one to meet."""


class Request(NamedTuple):
    """Who asks (a host's name, and the source address that it chooses, if any) for what; so many times."""

    host: str
    source: str
    protocol: str
    address: str
    port: int
    times: int


Answers = Mapping[Request, Collection[str]]
"""What requests became: the endpoint's name with the source address that it saw, DROPPED, REFUSED or an errno."""


class Crossing:
    """The hosts, by their names: ``node``, ``client``, ``pod1`` to ``pod3``."""

    def __init__(self, found: Mapping[str, hosts.Host]) -> None:
        self.hosts = found

    @property
    def node(self) -> hosts.Host:
        return self.hosts["node"]

    def ask(self, requests: Sequence[Request], patience: float = 1.0, at_once: int = _AT_ONCE) -> Answers:
        """All requests, so many of one host at once, beside those of the others."""
        tasks = {}
        for name, host in self.hosts.items():
            own = [request for request in requests if request.host == name]
            tasks[name] = host.start(lambda own=own: _ask_all(own, patience, at_once))  # type: ignore[misc]
        return {request: answer for task in tasks.values() for request, answer in task.answer().items()}


@contextlib.contextmanager
def crossing() -> Iterator[Crossing]:
    """Routes for both families; endpoints answer on PORT, by TCP and UDP, with their name."""
    with contextlib.ExitStack() as opened:
        names = ("node", "client", "pod1", "pod2", "pod3")
        found = {name: opened.enter_context(hosts.Host(name)) for name in names}
        node = found["node"]
        for name, host in found.items():
            host.shell(
                "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.conf.all.rp_filter=0 "
                "net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
            )
            # A refusal that is not told looks like a drop. Linux before 6.13 has one limit for all namespaces.
            host.run(
                "sysctl", "-qw", "net.ipv4.icmp_msgs_per_sec=1000000", "net.ipv4.icmp_msgs_burst=100000", check=False
            )
            if name != "node":
                host.ip(f"link add eth0 type veth peer name {name} netns {node.pid}", "link set eth0 up")
                node.ip(f"link set {name} up")
        node.shell(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.route_localnet=1 "
            "net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.client.send_redirects=0"
        )
        for family in (IPV4, IPV6):
            _wire(found, family)
        for number in (1, 2, 3):
            addresses = [PODS[IPV4][number - 1], PODS[IPV6][number - 1]]
            found[f"pod{number}"].start(lambda number=number, addresses=addresses: _serve(f"pod{number}", addresses))
        node.start(lambda: _serve("node", [NODE[IPV4][0], NODE[IPV6][0]]))
        for name in ("node", "pod1", "pod2", "pod3"):
            hosts.wait_for(lambda host=found[name]: _listening(host) >= 4, f"{name} is silent")
        yield Crossing(found)


def _wire(found: Mapping[str, hosts.Host], family: str) -> None:
    node, client = found["node"], found["client"]
    network, single = _LENGTH[family]
    nodad = "nodad" if family == IPV6 else ""
    node.ip(*(f"address add {address}/{network} dev client {nodad}" for address in NODE[family]))
    client.ip(*(f"address add {address}/{network} dev eth0 {nodad}" for address in CLIENTS[family]))
    client.ip(f"route add local {'198.18.0.0/15' if family == IPV4 else '2001:db8:c::/64'} dev lo")
    everywhere = "default" if family == IPV4 else "::/0"
    client.ip(f"route add {everywhere} via {NODE[family][0]}")
    node.ip(f"route add {everywhere} via {CLIENTS[family][0]}")
    for number, address in enumerate(PODS[family], 1):
        pod, gateway = found[f"pod{number}"], GATEWAY[family]
        node.ip(f"address add {gateway}/{single if family == IPV4 else network} dev pod{number} {nodad}")
        pod.ip(f"address add {address}/{single} dev eth0 {nodad}")
        pod.ip(*([f"route add {gateway} dev eth0"] if family == IPV4 else []))
        pod.ip(f"route add {everywhere} via {gateway} dev eth0")
        node.ip(f"route add {address}/{single} dev pod{number} src {NODE[family][0]}")


def _listening(host: hosts.Host) -> int:
    return host.run("ss", "-Hlntu", "sport", "=", f":{PORT}").stdout.count("\n")


def _serve(name: str, addresses: Sequence[str]) -> None:
    """Answer with the own name and the address of who asked, until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    selector = selectors.DefaultSelector()
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, PORT), family=family, backlog=4096)
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        datagrams.bind((address, PORT))
        for each in (listener, datagrams):
            each.setblocking(False)
            selector.register(each, selectors.EVENT_READ)
    while True:
        for key, _events in selector.select():
            held = key.fileobj
            assert isinstance(held, socket.socket)
            with contextlib.suppress(OSError):
                if held.type == socket.SOCK_STREAM:
                    connection, peer = held.accept()
                    with connection:
                        connection.settimeout(1)
                        connection.sendall(f"{name} {peer[0]}".encode())
                else:
                    _data, peer = held.recvfrom(100)
                    held.sendto(f"{name} {peer[0]}".encode(), peer)


def _ask_all(requests: Sequence[Request], patience: float, at_once: int) -> Answers:
    with ThreadPoolExecutor(at_once) as threads:
        return dict(zip(requests, threads.map(lambda request: _ask(request, patience), requests)))


def _ask(request: Request, patience: float) -> frozenset[str]:
    """Two that are dropped or refused are enough: nothing here is that by chance."""
    found: list[str] = []
    for _turn in range(request.times):
        found.append(_once(request, _SECONDS * patience))
        if found in ([DROPPED, DROPPED], [REFUSED, REFUSED]):
            break
    return frozenset(found)


def _once(request: Request, seconds: float) -> str:
    family = socket.AF_INET6 if ":" in request.address else socket.AF_INET
    kind = socket.SOCK_STREAM if request.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as asking:
        asking.settimeout(seconds)
        if kind == socket.SOCK_STREAM:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        try:
            if request.source:
                asking.bind((request.source, 0))
            asking.connect((request.address, request.port))
            if kind == socket.SOCK_DGRAM:
                asking.sendall(b"who")
            return asking.recv(100).decode() or "closed"
        except socket.timeout:
            return DROPPED
        except OSError as error:
            return REFUSED if error.errno == errno.ECONNREFUSED else errno.errorcode.get(error.errno or 0, "?")
