"""Traffic through a node: servers that say who they are, clients that count what went wrong."""

from __future__ import annotations

import collections
import contextlib
import errno
import heapq
import selectors
import signal
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cases
import hosts

from sluice.addresses import IPV6

REQUEST = b"who\n"
TIMEOUT = 3.0
"""Seconds until a request of a client has failed: longer than its server is ever kept from its processor."""

ADDRESSES = (*cases.PODS, *map(cases.mapped, cases.PODS))
"""Of all endpoints, in both families."""

ROUTER, NOBODY = "10.1.0.1", "10.1.0.250"
"""In the network of endpoints: the node, and an address that no host has."""

CUSTOMERS = "172.30.0.0"
"""The network of clients of which there are many."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset and leaves no TIME_WAIT, so that ports do not run out."""


class Network(NamedTuple):
    """A node between clients and endpoints."""

    node: hosts.Node
    client: hosts.Host
    pods: hosts.Host

    def serve(self, services: Iterable[cases.Service]) -> hosts.Task:
        """Have all endpoints' addresses answer on the target ports of ``services``; ready when it returns."""
        ports = sorted({(service.target_port, service.protocol) for service in services})
        task = self.pods.start(lambda: serve(ports))
        sockets = sum(1 if protocol == "TCP" else len(ADDRESSES) for _, protocol in ports)
        listed = ("ss", "-Hlntu")
        hosts.wait_for(lambda: self.pods.run(*listed).stdout.count("\n") >= sockets, "the endpoints do not listen")
        return task

    def request(self, targets: Sequence[tuple[str, int]], rate: float, held: int) -> hosts.Task:
        """Start ``request`` (below) on the client; its ``held`` connections are up when this returns."""
        task = self.client.start(lambda: request(targets, rate, held))
        there = ("ss", "-Htn", "state", "established")
        hosts.wait_for(lambda: self.client.run(*there).stdout.count("\n") >= held, "the client has no connections")
        return task

    def ask(
        self, address: str, port: int, protocol: str = "TCP", *, source_port: int = 0, timeout: float = hosts.PATIENCE
    ) -> str:
        """The address and port of the endpoint that answers one request, or what went wrong."""
        return self.client.call(lambda: ask(address, port, protocol, source_port, timeout))

    def ask_as(self, sources: Sequence[str], address: str, protocol: str = "TCP") -> list[str]:
        """The same of port 80 by one request after the other, each from an address of the client's."""
        return self.client.call(lambda: [ask(address, 80, protocol, source=source) for source in sources])

    def customers(self, family: str) -> list[str]:
        """Thousands of addresses that the client has from now on, beside its own."""
        own, network = (cases.mapped, f"{cases.mapped(CUSTOMERS)}/96") if family == IPV6 else (str, f"{CUSTOMERS}/16")
        self.client.ip(f"route replace local {network} dev lo")
        self.client.run("sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1")  # what such a route is enough for with IPv4
        self.node.ip(f"route replace {network} via {own(cases.CLIENT_ADDRESS)}")
        return [own(f"172.30.{number // 250}.{number % 250 + 1}") for number in range(5000)]


def _addresses(device: str, *wanted: str) -> list[str]:
    """Lines of ip(8) that give a device, one that is up, addresses of both families.

    Up before: the first second of an IPv6 address that waited for its device is lost.
    """
    four = [f"address add {address}/24 dev {device}" for address in wanted]
    return four + [f"address add {cases.mapped(address)}/112 dev {device} nodad" for address in wanted]


@contextlib.contextmanager
def around(node: hosts.Node) -> Iterator[Network]:
    """``node`` between a client and a host that has the addresses of all endpoints."""
    with hosts.Host("client") as client, hosts.Host("pods") as pods:
        client_uplink = f"link add eth0 type veth peer name client netns {node.pid}"
        pods_uplink = f"link add eth0 type veth peer name pods netns {node.pid}"
        client.ip(client_uplink, "link set eth0 up", *_addresses("eth0", cases.CLIENT_ADDRESS))
        pods.ip(pods_uplink, "link set eth0 up", *_addresses("eth0", *cases.PODS))
        node.ip(
            "link set client up",
            "link set pods up",
            *_addresses("client", cases.NODE_ADDRESS),
            *_addresses("pods", ROUTER),
            # As by a default route: what nobody translates goes somewhere, and is not answered.
            *(f"neighbour add {way} lladdr 02:00:00:00:00:99 dev pods" for way in (NOBODY, cases.mapped(NOBODY))),
            f"route add 10.96.0.0/16 via {NOBODY}",
            f"route add {cases.mapped('10.96.0.0')}/96 via {cases.mapped(NOBODY)}",
        )
        for host, way in ((client, cases.NODE_ADDRESS), (pods, ROUTER)):
            host.ip(f"route add default via {way}", f"route add ::/0 via {cases.mapped(way)}")
        yield Network(node, client, pods)


def ask(
    address: str,
    port: int,
    protocol: str,
    source_port: int = 0,
    timeout: float = hosts.PATIENCE,
    source: str = "",
) -> str:
    """One request; the answer's ``ADDRESS PORT``, ``timeout``, or the name of an errno."""
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as connection:
        connection.settimeout(timeout)
        try:
            if protocol == "TCP":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            if source or source_port:
                connection.bind((source, source_port))
            connection.connect((address, port))
            connection.sendall(REQUEST)
            return connection.recv(100).decode().strip()
        except socket.timeout:
            return "timeout"
        except OSError as error:
            return _name(error.errno)


def serve(ports: Sequence[tuple[int, str]]) -> None:
    """Answer every request on ``ports`` (number, protocol) with the own address and port, until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    selector = selectors.DefaultSelector()
    for port, protocol in ports:
        if protocol == "UDP":
            for address in ADDRESSES:  # one each: an answer has to come from the address that was asked
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                datagrams = socket.socket(family, socket.SOCK_DGRAM)
                datagrams.bind((address, port))
                selector.register(datagrams, selectors.EVENT_READ, "datagram")
        else:
            listener = socket.create_server(("", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True)
            listener.setblocking(False)
            selector.register(listener, selectors.EVENT_READ, "listener")
    while True:
        for key, _ in selector.select():
            held: Any = key.fileobj
            try:
                if key.data == "listener":
                    connection, _ = held.accept()
                    connection.setblocking(False)
                    selector.register(connection, selectors.EVENT_READ, "connection")
                elif key.data == "datagram":
                    _, peer = held.recvfrom(100)
                    held.sendto(_own(held), peer)
                elif held.recv(100):
                    held.sendall(_own(held))
                else:
                    selector.unregister(held)
                    held.close()
            except OSError:
                if key.data == "connection":
                    selector.unregister(held)
                    held.close()


def _own(connection: socket.socket) -> bytes:
    address, port = connection.getsockname()[:2]
    return f"{address.replace('::ffff:', '')} {port}\n".encode()


class Answer(NamedTuple):
    """A new connection that was answered: when it began and ended (time.monotonic()), the addresses that it reached."""

    begun: float
    ended: float
    service: str
    endpoint: str


class Outcome(NamedTuple):
    """What a client counted: requests that were answered, and what went wrong (by Service and kind)."""

    fine: int
    faults: dict[str, int]
    late: float
    """How long the client itself could not keep its rate, at worst, in seconds."""

    answers: list[Answer]
    """Those of new connections."""

    def __str__(self) -> str:
        return f"{self.fine} requests answered, faults {self.faults}, {self.late:.2f} s late at worst"


def request(targets: Sequence[tuple[str, int]], rate: float, held: int) -> Outcome:
    """New connections to ``targets`` (address, the port at which its endpoints listen) in turn, until SIGTERM.

    ``rate`` a second, open loop: none waits for another. Besides, ``held`` connections that stay and ask on and on.
    """
    client = _Client(targets, rate)
    signal.signal(signal.SIGTERM, lambda *_: client.finish())
    client.hold(held)
    return client.run()


class _Client:
    def __init__(self, targets: Sequence[tuple[str, int]], rate: float) -> None:
        self.targets, self.step = targets, 1 / rate
        self.selector = selectors.DefaultSelector()
        self.deadlines: list[tuple[float, int, Any]] = []
        self.open: dict[Any, tuple[str, int, str]] = {}
        self.faults: collections.Counter[str] = collections.Counter()
        self.fine = self.number = 0
        self.late = 0.0
        self.ending = False
        self.idle: list[tuple[float, int, Any]] = []
        self.latest: dict[Any, int] = {}  # the request that a connection waits for, by number
        self.begun: dict[Any, float] = {}
        self.answers: list[Answer] = []

    def finish(self) -> None:
        self.ending = True

    def hold(self, count: int) -> None:
        for number in range(count):
            self.connect(*self.targets[number % len(self.targets)], kind="established")

    def connect(self, address: str, port: int, kind: str) -> None:
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.begun[connection] = time.monotonic()
        connection.connect_ex((address, 80))
        self.open[connection] = (address, port, kind)
        self.selector.register(connection, selectors.EVENT_WRITE)
        self.expect(connection)

    def expect(self, connection: socket.socket) -> None:
        self.number += 1
        heapq.heappush(self.deadlines, (time.monotonic() + TIMEOUT, self.number, connection))
        self.latest[connection] = self.number

    def run(self) -> Outcome:
        due = time.monotonic()
        turn = 0
        while not self.ending or any(kind == "new" for _, _, kind in self.open.values()):
            now = time.monotonic()
            if not self.ending:
                self.late = max(self.late, now - due)
                while due <= now:
                    self.connect(*self.targets[turn % len(self.targets)], kind="new")
                    turn += 1
                    due += self.step
            while self.idle and self.idle[0][0] <= now:
                connection = heapq.heappop(self.idle)[2]
                if connection in self.open:
                    self.say(connection)
            for key, _ in self.selector.select(0.01 if self.ending else max(0.0, min(0.01, due - time.monotonic()))):
                self.go_on(key.fileobj, key.events)
            # Behind the answers: a client that was kept from its processor is not to take them for missing.
            self.check_deadlines(now)
        for connection in list(self.open):
            self.close(connection)
        return Outcome(self.fine, dict(self.faults), self.late, self.answers)

    def check_deadlines(self, now: float) -> None:
        while self.deadlines and self.deadlines[0][0] <= now:
            _, number, connection = heapq.heappop(self.deadlines)
            if self.latest.get(connection) == number:
                self.fail(connection, "timeout")

    def go_on(self, connection: Any, events: int) -> None:
        try:
            if events == selectors.EVENT_WRITE:
                problem = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if problem:
                    self.fail(connection, _name(problem))
                    return
                connection.sendall(REQUEST)
                self.selector.modify(connection, selectors.EVENT_READ)
                return
            said = connection.recv(100).decode().split()
        except OSError as error:
            self.fail(connection, _name(error.errno))
            return
        address, port, kind = self.open[connection]
        if said[1:] != [str(port)]:
            self.fail(connection, f"answer {said}")
            return
        self.fine += 1
        if kind == "new":
            self.answers.append(Answer(self.begun[connection], time.monotonic(), address, said[0]))
            self.close(connection)
        else:
            self.latest.pop(connection)
            self.number += 1
            heapq.heappush(self.idle, (time.monotonic() + 0.1, self.number, connection))

    def say(self, connection: Any) -> None:
        self.expect(connection)
        try:
            connection.sendall(REQUEST)
        except OSError as error:
            self.fail(connection, _name(error.errno))

    def fail(self, connection: Any, what: str) -> None:
        address, _, kind = self.open[connection]
        self.faults[f"{kind} {address} {what}"] += 1
        self.close(connection)

    def close(self, connection: Any) -> None:
        self.selector.unregister(connection)
        del self.open[connection]
        self.latest.pop(connection, None)
        del self.begun[connection]
        connection.close()


def _name(number: int | None) -> str:
    return errno.errorcode.get(number or 0, str(number))
