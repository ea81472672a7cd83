"""One attempt of a check at a time, without the checker's loop, and endpoints to ask."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable

from sluice import probes
from sluice.health.attempts import Attempt, LocalError, Target
from sluice.health.kinds import KINDS
from sluice.health.reasons import Reason, of_errno

PATIENCE = 60.0
"""Seconds that a slow machine is given; whoever waits goes on at once when it is time."""

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def target(probe: Mapping[str, Any], address: str, port: int, source: str = "") -> Target:
    found = probes.probe(dict(probe))
    return Target(address, port, found, KINDS[found.kind].prepare(found), source, {})


def ask(asked: Target) -> Reason:
    """What comes of one attempt, as the checker's loop has it."""
    try:
        attempt = KINDS[asked.probe.kind].begin(asked)
    except LocalError as error:
        return error.reason
    except OSError as error:
        return of_errno(error.errno)
    try:
        return outcome(attempt)
    finally:
        attempt.close()


def outcome(attempt: Attempt) -> Reason:
    """What comes of an attempt that has begun; TIMEOUT after PATIENCE."""
    until = time.monotonic() + PATIENCE
    with select.epoll() as epoll:
        epoll.register(attempt.fileno(), attempt.wants)
        while time.monotonic() < until:
            for descriptor, events in epoll.poll(1):
                try:
                    reason = attempt.step(events)
                except OSError as error:
                    return of_errno(error.errno)
                if reason is not None:
                    return reason
                epoll.modify(descriptor, attempt.wants)
    return Reason.TIMEOUT


@contextlib.contextmanager
def serving(
    talk: Callable[[socket.socket], object], family: socket.AddressFamily = socket.AF_INET
) -> Iterator[tuple[str, int]]:
    """An endpoint's address and port; ``talk`` is called with each connection, which ends with it."""
    with socket.create_server((LOOPBACK[family], 0), family=family) as server:

        def serve() -> None:
            while True:
                try:
                    link, _peer = server.accept()
                except OSError:
                    return
                with link, contextlib.suppress(OSError):
                    talk(link)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[:2]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


@contextlib.contextmanager
def answering(
    answer: Callable[[bytes], list[bytes]], family: socket.AddressFamily = socket.AF_INET
) -> Iterator[tuple[str, int]]:
    """An endpoint's address and port that answers each packet of UDP by those that ``answer`` makes of it."""
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind((LOOPBACK[family], 0))
        ended = False

        def serve() -> None:
            while True:
                data, peer = server.recvfrom(65535)
                if ended:
                    return
                for packet in answer(data):
                    server.sendto(packet, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[:2]
        ended = True
        with socket.socket(family, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.getsockname())
        thread.join(PATIENCE)


def closed_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody listens at: the kernel gives it to nobody else for a while."""
    with socket.socket(socket.AF_INET, kind) as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])
