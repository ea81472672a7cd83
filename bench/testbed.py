"""A node between a client and endpoints, and a way around it: network namespaces that end with their processes."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection

import catalogues
from process import REPOSITORY, MeasureError

sys.path.append(str(REPOSITORY / "lab"))
import namespaces

CLIENT, NODE_TO_CLIENT = "172.18.1.2", "172.18.1.1"
ENDPOINT, NODE_TO_ENDPOINT = "172.18.2.2", "172.18.2.1"
CLIENT_AROUND, ROUTER_TO_CLIENT = "172.18.3.2", "172.18.3.1"
ENDPOINT_AROUND, ROUTER_TO_ENDPOINT = "172.18.4.2", "172.18.4.1"
AROUND = "172.18.5.1"
"""An address of the endpoint to which the client goes through another namespace, one that never has any rules."""

BLOCK = 100
"""Connections to one target before the next one's turn, so that all of them meet the machine in the same mood."""

REST = 0.001
"""Seconds between two looks of an endpoint for connections: some fifty, far less than fit into its backlog."""

Answer = typing.TypeVar("Answer")
_fork = multiprocessing.get_context("fork")


def in_a_namespace(work: Callable[[], Answer]) -> Answer:
    """The result of ``work`` in a child with a network of its own, and files of its own below /run and /var/lib.

    Raises MeasureError with what went wrong there.
    """
    reader, writer = _fork.Pipe(duplex=False)
    child = _fork.Process(target=_work, args=(work, writer))
    child.start()
    writer.close()
    try:
        worked, answer = reader.recv()
    except EOFError:
        worked, answer = False, "the measuring process ended"
    finally:
        child.join()
    if not worked:
        raise MeasureError(answer)
    return typing.cast(Answer, answer)


def _work(work: Callable[[], object], writer: Connection) -> None:
    try:
        namespaces.unshare(namespaces.CLONE_NEWNET | namespaces.CLONE_NEWNS)
        namespaces.mount("none", "/", flags=namespaces.MS_REC | namespaces.MS_PRIVATE)
        for directory in ("/run", "/var/lib"):
            namespaces.mount("tmpfs", directory, "tmpfs", namespaces.MS_NOSUID | namespaces.MS_NODEV, "mode=755")
        writer.send((True, work()))
    except (MeasureError, OSError, EOFError) as error:
        writer.send((False, str(error) or type(error).__name__))


def _ip(*lines: str) -> None:
    """Run lines of ip(8) in this process's network namespace."""
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, capture_output=True, check=False)
    if done.returncode:
        raise MeasureError(f"ip: {' '.join(done.stderr.split())}")


class Path:
    """The ways of a client: through this process's namespace, the node, to whatever it asks for; and to AROUND."""

    def __init__(self, client: Connection) -> None:
        self._client = client

    def connect(self, targets: Sequence[tuple[str, int]], count: int) -> list[list[float]]:
        """Sorted times of ``count`` new TCP connections to each of ``targets``, in µs, one after the other."""
        self._client.send((targets, count))
        answer = self._client.recv()
        if isinstance(answer, str):
            raise MeasureError(answer)
        return typing.cast("list[list[float]]", answer)


@contextlib.contextmanager
def path() -> Iterator[Path]:
    """Join a client and an endpoint to this namespace. They end with the context."""
    with contextlib.ExitStack() as stack:
        # A processor each, where there are two: neither then runs in the other's time.
        processors = sorted(os.sched_getaffinity(0))
        client = stack.enter_context(_peer(_client, processors[0]))
        endpoint = stack.enter_context(_peer(_endpoint, processors[-1]))
        router = stack.enter_context(_peer(_router, processors[-1]))
        client_pid, endpoint_pid, router_pid = client.recv(), endpoint.recv(), router.recv()
        _ip(
            "link set lo up",
            f"link add client type veth peer name eth0 netns {client_pid}",
            f"link add endpoint type veth peer name eth0 netns {endpoint_pid}",
            f"link add eth1 netns {client_pid} type veth peer name client netns {router_pid}",
            f"link add eth1 netns {endpoint_pid} type veth peer name endpoint netns {router_pid}",
            f"address add {NODE_TO_CLIENT}/24 dev client",
            f"address add {NODE_TO_ENDPOINT}/24 dev endpoint",
            "link set client up",
            "link set endpoint up",
            f"route add {catalogues.ENDPOINT_NETWORK} via {ENDPOINT}",
        )
        namespaces.sysctl("net/ipv4/ip_forward", 1)
        for peer in (client, endpoint, router):
            peer.send("joined")
            peer.recv()
        yield Path(client)


@contextlib.contextmanager
def _peer(serve: Callable[[Connection], None], processor: int) -> Iterator[Connection]:
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=_become_peer, args=(serve, theirs, processor), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()


def _become_peer(serve: Callable[[Connection], None], link: Connection, processor: int) -> None:
    os.sched_setaffinity(0, {processor})
    namespaces.unshare(namespaces.CLONE_NEWNET)
    link.send(os.getpid())
    link.recv()
    try:
        serve(link)
    except (OSError, MeasureError) as error:
        print(f"{serve.__name__.strip('_')}: {error}", file=sys.stderr)


def _endpoint(link: Connection) -> None:
    """Every address of the endpoint network is local here, and accepts.

    The kernel answers, whoever accepts later. A process that waits for each connection would have to be woken within
    the time that is measured, which takes as long as all the rest and longer on an idle machine than on a busy one.
    """
    _ip(
        "link set lo up",
        "link set eth0 up",
        f"address add {ENDPOINT}/24 dev eth0",
        f"route add default via {NODE_TO_ENDPOINT}",
        f"route add local {catalogues.ENDPOINT_NETWORK} dev lo",
        "link set eth1 up",
        f"address add {ENDPOINT_AROUND}/24 dev eth1",
        f"address add {AROUND}/32 dev lo",
        f"route add {CLIENT_AROUND} via {ROUTER_TO_ENDPOINT}",
    )
    with socket.create_server(("", catalogues.TARGET_PORT), backlog=1024) as server:
        server.setblocking(False)
        link.send("ready")
        while True:
            time.sleep(REST)
            with contextlib.suppress(BlockingIOError):
                while True:
                    server.accept()[0].close()


def _router(link: Connection) -> None:
    """What the node is, but for the rules."""
    _ip(
        "link set client up",
        "link set endpoint up",
        f"address add {ROUTER_TO_CLIENT}/24 dev client",
        f"address add {ROUTER_TO_ENDPOINT}/24 dev endpoint",
        f"route add {AROUND} via {ENDPOINT_AROUND}",
    )
    namespaces.sysctl("net/ipv4/ip_forward", 1)
    link.send("ready")
    signal.pause()


def _client(link: Connection) -> None:
    _ip(
        "link set eth0 up",
        f"address add {CLIENT}/24 dev eth0",
        f"route add default via {NODE_TO_CLIENT}",
        "link set eth1 up",
        f"address add {CLIENT_AROUND}/24 dev eth1",
        f"route add {AROUND} via {ROUTER_TO_CLIENT}",
    )
    link.send("ready")
    gc.disable()
    while True:
        targets, count = link.recv()
        taken: list[list[float]] = [[] for _target in targets]
        try:
            for _block in range(0, count, BLOCK):
                for target, times in zip(targets, taken):
                    times.extend(_connect(target) for _connection in range(BLOCK))
        except OSError as error:
            link.send(f"connect to {target[0]}:{target[1]}: {error}")
            continue
        link.send([sorted(times) for times in taken])


def _connect(target: tuple[str, int]) -> float:
    """µs until connect(2) returns. Closed by a reset, so that neither side runs out of ports."""
    with socket.socket() as connection:
        # Blocking, as a time limit would add a poll(2) to what is measured; given up after one repetition (3 s).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        begin = time.perf_counter_ns()
        connection.connect(target)
        return (time.perf_counter_ns() - begin) / 1000
