#!/usr/bin/env python3
"""The first process of a lab host: keeps its namespaces, reaps its orphans, answers with its name on its ports.

    endpoint.py [--ready FD] NAME [PORT/PROTOCOL ...]

A request is anything (an HTTP request or one datagram); the answer is the line ``NAME SOURCE``, SOURCE being the
address that the request came from, over TCP behind an HTTP head. Standard library only, Python 3.9.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys

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


def answer(listener: socket.socket, name: str) -> None:
    """Answer one request that waits on ``listener``."""
    if listener.type == socket.SOCK_DGRAM:
        _, peer = listener.recvfrom(2048)
        listener.sendto(line(name, peer), peer)
        return
    connection, peer = listener.accept()
    with connection:
        connection.settimeout(REQUEST_TIMEOUT)
        connection.recv(2048)
        body = line(name, peer)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


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
    selector = selectors.DefaultSelector()
    for spec in ports:
        port, _, protocol = spec.partition("/")
        try:
            selector.register(listen(int(port), protocol), selectors.EVENT_READ)
        except OSError as error:
            # A kernel without SCTP has no such sockets; the traffic report says what it could not ask.
            if protocol != "sctp":
                raise SystemExit(f"{name}: {spec}: {error}") from error
    if ready is not None:
        os.write(ready, b"ready\n")
        os.close(ready)
    while True:
        if not selector.get_map():
            signal.pause()
        for key, _ in selector.select():
            try:
                answer(key.fileobj, name)  # type: ignore[arg-type]
            except OSError:
                continue  # that client went away; the next one counts


if __name__ == "__main__":
    main(sys.argv[1:])
