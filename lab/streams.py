"""What a client of the lab does all the while: new connections, steadily, and connections that stay.

A thread may be in another network namespace than the rest of its process; these are in their client's.
"""

from __future__ import annotations

import concurrent.futures
import socket
import threading
import time
import typing

import namespaces
import phases
import report
import traffic

ASKING = traffic.REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
PATIENCE = 120.0  # seconds for what takes a few, on a computer with nothing else to do
LOOK = 0.05  # seconds between two looks
PAUSE = 0.5  # seconds until all connections that stay are asked again
WAITING = 512  # requests at a time: those that nobody answers take traffic.ANSWER_TIMEOUT


class NeverHappened(Exception):
    """What was waited for in vain, for the report."""


def wait_for(so: typing.Callable[[], bool], what: str) -> float:
    """When ``so`` was seen to be, on the clock of ``time.monotonic``. Raises NeverHappened: ``what`` after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not so():
        if time.monotonic() > deadline:
            raise NeverHappened(f"{what} after {PATIENCE:.0f} s")
        time.sleep(LOOK)
    return time.monotonic()


def pool(client: int, threads: int) -> concurrent.futures.ThreadPoolExecutor:
    """Threads in the network namespace of a client, by the process that keeps it."""
    return concurrent.futures.ThreadPoolExecutor(threads, initializer=namespaces.enter_network, initargs=(client,))


class Stream:
    """Requests, each over a new connection: ``rate`` a second, or as many as the computer can."""

    def __init__(self, client: int, to: report.Expectation, rate: float) -> None:
        self._to, self._rate = to, rate
        self._pool = pool(client, WAITING)
        self._asked: list[concurrent.futures.Future[phases.Request]] = []
        self._over = threading.Event()
        self._pace = threading.Thread(target=self._run)

    def __enter__(self) -> Stream:
        self._pace.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Returns when all requests have ended."""
        self._over.set()
        self._pace.join()
        self._pool.shutdown()

    @property
    def requests(self) -> list[phases.Request]:
        return [asked.result() for asked in self._asked]

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(due - time.monotonic(), 0)):
            self._asked.append(self._pool.submit(self._request))
            due = max(due + 1 / self._rate, time.monotonic())

    def _request(self) -> phases.Request:
        began, name, failure = time.monotonic(), "", ""
        try:
            name, _ = traffic.request(self._to, "")
        except OSError as error:
            failure = traffic.what_failed(error)
        return phases.Request(began, time.monotonic(), name, failure)

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have begun from now on, and ended."""
        before = len(self._asked)
        wait_for(
            lambda: sum(asked.done() for asked in self._asked[before:]) >= count,
            f"a client has not made {count} requests",
        )


class Lasting:
    """Connections that stay, none of them to the endpoint ``but``. Each is asked again and again.

    ``asked``: how often; ``broken``: a line for each one that broke.
    """

    def __init__(self, client: int, to: report.Expectation, count: int, but: str = "") -> None:
        self.asked = 0
        self.broken: list[str] = []
        self._to, self._count, self._but = to, count, but
        self._pool = pool(client, 1)
        self._over = threading.Event()
        self._open: list[tuple[str, socket.socket]] = []

    def __enter__(self) -> Lasting:
        """Returns when they are open. Raises OSError where one cannot be."""
        self._pool.submit(self._connect).result()
        self._run = self._pool.submit(self._ask_until_over)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for _name, connection in self._open:
            connection.close()
        self._run.result()

    def _connect(self) -> None:
        while len(self._open) < self._count:
            connection = traffic.connect(self._to, "")
            name, _ = traffic.ask(connection, ASKING)
            if name == self._but:
                connection.close()
            else:
                self._open.append((name, connection))

    def _ask_until_over(self) -> None:
        while not self._over.wait(PAUSE):
            self._ask_all()
        self._ask_all()

    def _ask_all(self) -> None:
        for each in list(self._open):
            name, connection = each
            try:
                answered, _ = traffic.ask(connection, ASKING)
                fault = "" if answered == name else f"answered by {answered}"
            except OSError as error:
                fault = traffic.what_failed(error)
            self.asked += 1
            if fault:
                self.broken.append(f"connection to {name}: {fault}")
                self._open.remove(each)
                connection.close()
