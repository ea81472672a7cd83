#!/usr/bin/env python3
"""Connections that last: endpoints that answer line by line, and a client that counts what goes wrong.

    load.py serve NAME PORT            answer every line with NAME, until killed
    load.py ask [--rate N] [--held N] [--last SECONDS] ADDRESS:PORT[@SOURCE]...

``ask`` makes N new connections a second to the addresses in turn, one request each, none waiting for another. Besides,
it holds connections that ask ten times a second, and closes each after SECONDS for a new one. It prints an empty line
when each of these has been answered (or has failed), ends with its standard input, and prints a JSON object then:
``new`` and ``held``, how many requests each endpoint answered there, and ``faults``.

Addresses with the same endpoints want a SOURCE of their own each: answers of an endpoint to one client port are all the
same to IPVS, so a port that the client happens to use for two virtual servers ends one of both connections.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import errno
import json
import socket
import sys
import time
from collections.abc import Iterator

TIMEOUT = 5.0  # seconds after which a request has failed; an emulated node is slow when it works

# The ports of a SOURCE: not those that the kernel chooses for everybody else (ip_local_port_range).
PORTS = (*range(1024, 32768), *range(61000, 65536))
PACE = 60  # ports a second


async def serve(name: str, port: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.readline():
                writer.write(f"{name}\n".encode())
                await writer.drain()
            writer.close()

    async with await asyncio.start_server(answer, "0.0.0.0", port, backlog=1024) as server:
        await server.serve_forever()


class Client:
    """What one client has seen."""

    def __init__(self) -> None:
        self.new: collections.Counter[str] = collections.Counter()
        self.held: collections.Counter[str] = collections.Counter()
        self.faults: collections.Counter[str] = collections.Counter()
        self.ending = asyncio.Event()
        self.began = 0.0
        self.ports: dict[str, Iterator[int]] = collections.defaultdict(ports)

    async def talk(
        self, target: str, counted: collections.Counter[str], seconds: float, begun: asyncio.Event | None = None
    ) -> None:
        """One connection: a request, and more of them until ``seconds`` are over. ``begun`` is set with the first."""
        kind = "held" if seconds else "new"
        address, _, source = target.partition("@")
        host, _, port = address.rpartition(":")
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        try:
            reader, writer = await asyncio.wait_for(self.connect(host, int(port), source), TIMEOUT)
            with contextlib.closing(writer):
                while True:
                    writer.write(b"who\n")
                    said = await asyncio.wait_for(reader.readline(), TIMEOUT)
                    if not said:
                        raise ConnectionResetError
                    counted[said.decode().strip()] += 1
                    if begun:
                        begun.set()
                    if self.ending.is_set() or clock() > until:
                        return
                    await asyncio.sleep(0.1)
        except (OSError, asyncio.TimeoutError) as error:
            self.faults[f"{kind} {target} {type(error).__name__}"] += 1
            began, ended = until - seconds - self.began, clock() - self.began
            print(f"{kind} {target} {type(error).__name__} from {began:.2f} s to {ended:.2f} s", file=sys.stderr)
        finally:
            if begun:
                begun.set()

    async def connect(self, host: str, port: int, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection, from the next port of ``source`` that is free. Raises OSError where there is none."""
        if not source:
            return await asyncio.open_connection(host, port)
        for own in self.ports[source]:
            connection = socket.socket()
            connection.setblocking(False)
            try:
                connection.bind((source, own))
                await asyncio.get_running_loop().sock_connect(connection, (host, port))
                return await asyncio.open_connection(sock=connection)
            except BaseException as error:
                connection.close()
                if not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRNOTAVAIL, f"{source}: all ports have been used")

    async def hold(self, target: str, seconds: float, begun: asyncio.Event) -> None:
        while not self.ending.is_set():
            await self.talk(target, self.held, seconds, begun)

    async def run(self, targets: list[str], rate: float, held: int, last: float) -> None:
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        await loop.connect_read_pipe(lambda: _Ending(self.ending), sys.stdin)
        begun = [asyncio.Event() for _ in range(held)]
        tasks = {
            asyncio.create_task(self.hold(targets[number % len(targets)], last, event))
            for number, event in enumerate(begun)
        }
        tasks.add(asyncio.create_task(_announce(begun)))
        number, due = 0, loop.time()
        while not self.ending.is_set():
            if rate:
                task = asyncio.create_task(self.talk(targets[number % len(targets)], self.new, 0))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number, due = number + 1, due + 1 / rate
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.ending.wait(), max(0.0, due - loop.time()) if rate else None)
        await asyncio.gather(*tasks)


def ports() -> Iterator[int]:
    """The ports of a run, in the order in which it takes them: none twice, nor one of a run a few minutes ago.

    The node remembers for minutes which endpoint a client's port belonged to, and the client's kernel for one that it
    was in use. So each run begins where the clock is, PACE ports a second, which is behind all that the ones before
    have used as long as they were not quicker; the whole circle takes ten minutes.
    """
    first = int(time.monotonic() * PACE)
    return (PORTS[(first + number) % len(PORTS)] for number in range(len(PORTS)))


async def _announce(begun: list[asyncio.Event]) -> None:
    for event in begun:
        await event.wait()
    print(flush=True)


class _Ending(asyncio.Protocol):
    """Standard input, of which only the end counts."""

    def __init__(self, ending: asyncio.Event) -> None:
        self.ending = ending

    def eof_received(self) -> None:
        self.ending.set()


async def ask(arguments: argparse.Namespace) -> None:
    client = Client()
    await client.run(arguments.targets, arguments.rate, arguments.held, arguments.last)
    print(json.dumps({"new": client.new, "held": client.held, "faults": client.faults}))


def main() -> None:
    parser = argparse.ArgumentParser()
    actions = parser.add_subparsers(dest="action", required=True)
    serving = actions.add_parser("serve")
    serving.add_argument("name")
    serving.add_argument("port", type=int)
    asking = actions.add_parser("ask")
    asking.add_argument("--rate", type=float, default=0)
    asking.add_argument("--held", type=int, default=0)
    asking.add_argument("--last", type=float, default=3600)
    asking.add_argument("targets", nargs="+")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.name, arguments.port) if arguments.action == "serve" else ask(arguments))


if __name__ == "__main__":
    main()
