#!/usr/bin/env python3
"""The first process of a lab host: keeps its namespaces, reaps its orphans, answers with its name on its ports.

    endpoint.py [--ready FD] NAME [PORT/PROTOCOL ...]

A request is anything (an HTTP request or one datagram); the answer is the line ``NAME SOURCE``, SOURCE being the
address that the request came from, over TCP behind an HTTP head. A connection ends with its answer, unless the request
says ``Connection: keep-alive``. SIGUSR1 is the end of the program as others see it: nobody listens, all connections are
closed. After SIGUSR2 it answers again. Standard library only, Python 3.9.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from typing import Callable

REQUEST_TIMEOUT = 2.0  # seconds that a TCP client may take to send its request


def listen(port: int, protocol: str) -> socket.socket:
    """A socket for both address families on every address of this host."""
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_STREAM}[protocol]
    number = socket.IPPROTO_SCTP if protocol == "sctp" else 0
    listener = socket.socket(socket.AF_INET6, kind, number)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        listener.listen(1024)
    return listener


class Answers:
    """The ports of a host, and the connections that stay."""

    def __init__(self, name: str, ports: list[str]) -> None:
        self.name, self.ports = name, ports
        self.selector = selectors.DefaultSelector()
        self.open: set[socket.socket] = set()

    def begin(self) -> None:
        """Answer on all ports, as a program that was just started."""
        self.end()
        for spec in self.ports:
            port, _, protocol = spec.partition("/")
            try:
                self.add(listen(int(port), protocol), self.answer)
            except OSError as error:
                # A kernel without SCTP has no such sockets; the traffic report says what it could not ask.
                if protocol != "sctp":
                    raise SystemExit(f"{self.name}: {spec}: {error}") from error

    def end(self) -> None:
        for each in list(self.open):
            self.close(each)

    def add(self, found: socket.socket, heed: Callable[[socket.socket], None]) -> None:
        self.open.add(found)
        self.selector.register(found, selectors.EVENT_READ, heed)

    def close(self, found: socket.socket) -> None:
        self.open.remove(found)
        self.selector.unregister(found)
        found.close()

    def answer(self, listener: socket.socket) -> None:
        """Answer one request that waits on ``listener``."""
        if listener.type == socket.SOCK_DGRAM:
            _, peer = listener.recvfrom(2048)
            listener.sendto(line(self.name, peer), peer)
            return
        connection, _ = listener.accept()
        connection.settimeout(REQUEST_TIMEOUT)
        self.add(connection, self.go_on)
        self.go_on(connection)

    def go_on(self, connection: socket.socket) -> None:
        """Answer the next request of a connection."""
        try:
            stays = self.respond(connection)
        except OSError:
            stays = False  # that client went away; the next one counts
        if not stays:
            self.close(connection)

    def respond(self, connection: socket.socket) -> bool:
        """Answer a request; whether its connection stays."""
        request = connection.recv(2048)
        stays = b"\r\nconnection: keep-alive\r\n" in request.lower()
        body = line(self.name, connection.getpeername())
        head = b"HTTP/1.1 200 OK\r\nConnection: %b\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (b"keep-alive" if stays else b"close", len(body)) + body)
        return stays


def line(name: str, peer: tuple[str, ...]) -> bytes:
    return f"{name} {peer[0].removeprefix('::ffff:')}\n".encode()


def main(arguments: list[str]) -> None:
    # PID 1 of a PID namespace inherits its orphans; an ignored SIGCHLD has the kernel reap them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ready = None
    if arguments[0] == "--ready":
        ready, arguments = int(arguments[1]), arguments[2:]
    name, *ports = arguments
    answers = Answers(name, ports)
    # Signals come by the loop, in the middle of nothing.
    signals, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    for each in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, lambda *_: None)
    answers.selector.register(signals, selectors.EVENT_READ)
    answers.begin()
    if ready is not None:
        os.write(ready, b"ready\n")
        os.close(ready)
    while True:
        for key, _ in answers.selector.select():
            if key.fileobj is signals:
                for number in signals.recv(64):
                    if number == signal.SIGUSR1:
                        answers.end()
                    elif number == signal.SIGUSR2:
                        answers.begin()
                break  # what else was ready may be closed now
            try:
                key.data(key.fileobj)
            except OSError:
                continue  # that client went away


if __name__ == "__main__":
    main(sys.argv[1:])
