"""The checker: what it takes to ask tens of thousands of endpoints, and how late it is.

All endpoints are addresses of the loopback device in a network namespace of their own, with one server behind them.
Figures are of the checker's process alone; the server has another processor, where there is one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import typing
from collections.abc import Iterator, Sequence

from process import NODE_PYTHON, REPOSITORY, MeasureError
from results import Checks

sys.path += [str(REPOSITORY / "lab"), str(REPOSITORY / "module_utils")]
import namespaces

from sluice import probes
from sluice.health import peers, wire
from sluice.health.check import Check
from sluice.health.reasons import State

PORT = 80
CHECKER = "import sys; from sluice.health import checker; sys.exit(checker.main(sys.argv[1]))"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"

_fork = multiprocessing.get_context("fork")
_TICKS = os.sysconf("SC_CLK_TCK")


class Case(typing.NamedTuple):
    """``count`` endpoints, each asked ``probe`` every ``period`` seconds; ``loops`` busy processes beside."""

    probe: str
    count: int
    period: float
    loops: int = 0


CASES = (
    Case(probes.TCP, 5000, 1),
    Case(probes.TCP, 25000, 5),
    Case(probes.TCP, 25000, 5, loops=4),
    Case(probes.TCP, 25000, 1),
    Case(probes.HTTP, 5000, 1),
    Case(probes.HTTP, 25000, 5),
)


def measure(case: Case, seconds: float) -> Checks:
    """What one case takes, in ``seconds`` of it after every endpoint was asked once; runs in its namespaces."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    namespaces.sysctl("net/ipv4/tcp_max_syn_backlog", 65536)
    namespaces.sysctl("net/core/somaxconn", 65536)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
        folder.chmod(0o755)
        listening = stack.enter_context(peers.listen(str(folder / "socket"), os.getgid()))
        os.chmod(folder / "socket", 0o666)
        stack.enter_context(_process(_serve))
        for _loop in range(case.loops):
            stack.enter_context(_process(_burn))
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "module_utils")}
        command = [NODE_PYTHON, "-c", CHECKER, str(folder / "socket")]
        checker = stack.enter_context(subprocess.Popen(command, env=environment))
        stack.callback(checker.terminate)
        select.select([listening], [], [], 60)
        link = stack.enter_context(listening.accept()[0])
        supervisor = wire.Supervisor(link)
        supervisor.send(1, "bench", "", checks(case))
        _listen(supervisor, link, 2 * case.period + 2)
        return _figures(case, supervisor, link, checker.pid, seconds)


def checks(case: Case) -> Sequence[tuple[int, Check]]:
    """The list of a case."""
    question = probes.probe({case.probe: {}, "periodSeconds": case.period}).question
    places = (f"127.{1 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}" for number in range(case.count))
    return [(number, Check(place, PORT, question)) for number, place in enumerate(places)]


def _figures(case: Case, supervisor: wire.Supervisor, link: socket.socket, pid: int, seconds: float) -> Checks:
    cpu, done, began = _cpu(pid), _done(supervisor), time.monotonic()
    beats, downs = _listen(supervisor, link, seconds)
    taken = time.monotonic() - began
    late = [beat.late / 1000 for beat in beats]
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return Checks(
        *case,
        rate=(_done(supervisor) - done) / taken,
        cpu=(_cpu(pid) - cpu) / taken,
        peak=int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6,
        late=statistics.median(late),
        latest=max(late),
        downs=downs,
    )


def _listen(supervisor: wire.Supervisor, link: socket.socket, seconds: float) -> tuple[list[wire.Heartbeat], int]:
    """What the checker says in ``seconds``: heartbeats, and how many endpoints it says are down."""
    beats, downs, until = [], 0, time.monotonic() + seconds
    while time.monotonic() < until:
        writable = [link] if supervisor.wants_write else []
        select.select([link], writable, [], 0.05)
        supervisor.flush()
        downs += sum(record.state is State.DOWN for record in supervisor.receive())
        if supervisor.heartbeat and (not beats or beats[-1] is not supervisor.heartbeat):
            beats.append(supervisor.heartbeat)
    return beats, downs


def _done(supervisor: wire.Supervisor) -> int:
    if supervisor.heartbeat is None:
        raise MeasureError("the checker says nothing")
    return supervisor.heartbeat.done


def _cpu(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def _process(work: typing.Callable[[], None]) -> Iterator[None]:
    process = _fork.Process(target=work)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _burn() -> None:
    while True:
        pass


def _serve() -> None:
    """One server for all addresses that answers HTTP; what comes and goes at once it never sees."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    epoll = select.epoll()
    with socket.create_server(("", PORT), backlog=65536) as server:
        server.setblocking(False)
        epoll.register(server.fileno(), select.EPOLLIN)
        clients: dict[int, socket.socket] = {}
        while True:
            for descriptor, _events in epoll.poll():
                client = clients.pop(descriptor, None)
                if client is None:
                    with contextlib.suppress(OSError):
                        client = server.accept()[0]
                        clients[client.fileno()] = client
                        epoll.register(client.fileno(), select.EPOLLIN)
                    continue
                with client, contextlib.suppress(OSError):
                    if client.recv(4096):
                        client.send(ANSWER)
