"""The supervisor of health: hears what the checker says of endpoints, and brings the kernel to it.

The checker, a process without privileges (room ``health``), asks the endpoints of what is in force on the node. Its
answers are few bytes. Whatever it says, the kernel is changed by the same way as by an apply, in a thread of its own:
whoever asks this process is answered meanwhile.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..health import privileges, wire
from ..health.check import Check
from ..outages import Asked
from ..system import journal, linux, locks
from ..system.tools import NodeError
from . import converge, effective, files, flows, state
from .health_report import SOCKET as REPORT_SOCKET
from .health_report import Report, row
from .origin import HEALTH, Origin
from .rendering import Use
from .verdicts import Verdict, Verdicts

FOLDER = "/run/sluice-health"
"""Where the checker meets the supervisor: nobody else's is in it, and it may be entered without privileges."""

SOCKET = f"{FOLDER}/checker"

LOOK = 1.0
"""Seconds between two looks at what is in force on the node."""

GATHER, _AT_ONCE = 0.02, 0.002
"""Seconds in which changes are gathered to one; the latter for the first after a while, which is to be quick."""

AGAIN = 2.0
"""Seconds until a change that the node refused is tried again."""

_PATIENCE = 10.0
"""Seconds for whoever asks to take the answer."""


class Asking(NamedTuple):
    """What is to be asked of which endpoints, and for which service ports. ``generation`` is that of the node."""

    generation: int = 0
    node: str = ""
    source: str = ""
    checks: Mapping[Asked, Sequence[Use]] = {}


class Supervisor:
    """What both threads share; ``lock`` is held where one of them changes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.verdicts = Verdicts()
        self.asking = Asking()
        self.changed = threading.Event()
        self.ending = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._said = ""
        self._ended_of = self.verdicts.down
        """What is down, and whose connections were ended."""

    def close(self) -> None:
        """Let go of what both threads have; neither runs any more."""
        self._woken.close()
        self._waker.close()

    # --- the thread that changes the kernel

    def work(self) -> None:
        """Look what is in force, ask for it, and bring the kernel to what is down, until ``ending``."""
        changed = 0.0
        while not self.ending.is_set():
            try:
                self._look()
                if self.changed.wait(LOOK) and not self.ending.is_set():
                    busy = time.monotonic() - changed < LOOK
                    time.sleep(GATHER if busy else _AT_ONCE)
                    self.changed.clear()
                    self._apply()
                    changed = time.monotonic()
                self._said = ""
            except (NodeError, OSError) as error:
                self._say(f"health: {error}")
                self.changed.set()
                self.ending.wait(AGAIN)

    def _look(self) -> None:
        """Ask for what is in force, if that is another generation now."""
        generation = state.active()
        if generation == self.asking.generation:
            return
        gc.unfreeze()
        asking = _asking(generation)
        # They stay: a collector that looked at all of them again and again would be what is late here.
        gc.collect()
        gc.freeze()
        with self.lock:
            self.asking = asking
            if self.verdicts.ask_for(asking.checks):
                self.changed.set()
        with contextlib.suppress(BlockingIOError):
            self._waker.send(b"!")

    def _apply(self) -> None:
        with locks.one_apply():
            with self.lock:
                self.verdicts.keep()  # first of all: whatever ends this, the next apply heeds it
                down = self.verdicts.down
            last = state.last()
            if not last.files:
                return
            done = converge.converge(files.parse(last.files), origin=Origin(HEALTH))
        done.finish()
        new, self._ended_of = down - self._ended_of, down
        self._end_connections(new)

    def _end_connections(self, down: Iterable[Asked]) -> None:
        """Connections to what is down now: those that it has not answered, and all where that is wished for."""
        uses = [use for check in down for use in self.asking.checks.get(check, ()) if use.protocol == "tcp"]
        if uses:
            ends = {(use.address, use.port) for use in uses}
            flows.end(ends, {(use.address, use.port) for use in uses if use.on_down == "reset"})

    def _say(self, line: str) -> None:
        """Once, as long as it is the same."""
        if line != self._said:
            self._said = line
            journal.say(line)

    # --- who asks

    def report(self, link: wire.Supervisor | None) -> Report:
        """What is known of all checks."""
        with self.lock:
            asking, known = self.asking, dict(self.verdicts.known)
        beat = link.heartbeat if link else None
        rows = tuple(row(check, known.get(check, Verdict()), uses) for check, uses in asking.checks.items())
        return Report(asking.generation, link is not None, beat.late if beat else 0, rows)

    def _answer(self, asked: socket.socket, link: wire.Supervisor | None) -> None:
        """Tell who comes to SOCKET, in a thread of its own: it may be megabytes."""
        found = self.report(link)

        def tell() -> None:
            with asked, contextlib.suppress(OSError):
                asked.settimeout(_PATIENCE)
                asked.sendall(json.dumps(found.fields()).encode())

        threading.Thread(target=tell, daemon=True).start()

    # --- the thread that hears the checker

    def serve(self, ended: socket.socket) -> None:
        """Hear the checker, until ``ended`` can be read from."""
        with contextlib.ExitStack() as opened:
            selector = opened.enter_context(selectors.DefaultSelector())
            server = opened.enter_context(wire.listen(SOCKET, privileges.group()))
            asked = opened.enter_context(_listen(REPORT_SOCKET))
            selector.register(asked, selectors.EVENT_READ, "somebody asks")
            selector.register(server, selectors.EVENT_READ, "checker comes")
            selector.register(self._woken, selectors.EVENT_READ, "news")
            selector.register(ended, selectors.EVENT_READ, "end")
            link: wire.Supervisor | None = None
            numbers: list[Asked] = []
            while True:
                for key, _events in selector.select():
                    if key.data == "end":
                        return
                    try:
                        if key.data == "somebody asks":
                            self._answer(asked.accept()[0], link)
                            continue
                        if key.data == "checker comes":
                            link = self._meet(server, link, selector)
                        elif key.data == "news":
                            self._woken.recv(4096)
                        elif link is not None:
                            link.flush()
                            self._hear(link, numbers)
                        if link is not None and key.data != "checker":
                            numbers = self._tell(link)
                        if link is not None:
                            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_write else 0)
                            selector.modify(link, wanted, "checker")
                    except OSError:
                        if link is not None:
                            selector.unregister(link)
                            link.close()
                        link = None

    def _meet(
        self, server: socket.socket, before: wire.Supervisor | None, selector: selectors.BaseSelector
    ) -> wire.Supervisor:
        """The checker that comes; one that was there is not heard any more."""
        found, _address = server.accept()
        if before is not None:
            selector.unregister(before)
            before.close()
        link = wire.Supervisor(found)
        selector.register(link, selectors.EVENT_READ, "checker")
        return link

    def _tell(self, link: wire.Supervisor) -> list[Asked]:
        """Have the checker ask what is wanted now: the checks by their numbers."""
        asking = self.asking
        checks = list(asking.checks)
        link.send(asking.generation, asking.node, asking.source, [(at, Check(*each)) for at, each in enumerate(checks)])
        return checks

    def _hear(self, link: wire.Supervisor, numbers: Sequence[Asked]) -> None:
        now = time.time()
        with self.lock:
            changes = [
                self.verdicts.take(numbers[record.id], record.state, record.reason, record.milliseconds, now)
                for record in link.receive()
            ]
        if any(changes):
            self.changed.set()


def main() -> int:
    """Be the supervisor of this node until SIGTERM. An exit code."""
    os.makedirs(FOLDER, mode=0o755, exist_ok=True)
    os.makedirs(locks.RUN, mode=0o700, exist_ok=True)
    found = Supervisor()
    worker = threading.Thread(target=found.work)
    worker.start()
    try:
        with _until_ended() as ended:
            found.serve(ended)
    finally:
        found.ending.set()
        found.changed.set()
        worker.join()
        found.close()
    return 0


def _asking(generation: int) -> Asking:
    """What the files in force say is to be asked."""
    last = state.last()
    wanted = files.parse(last.files, f"generation {last.generation}") if last.files else files.of_nothing()
    if not wanted.settings.get("health") or not wanted.layers:
        return Asking(generation)
    try:
        found = effective.rendering(wanted, last.digest)
        settings = files.settings_of(last.files)
    except ValueError as error:
        raise NodeError(f"{error}: no endpoint is asked") from None
    checks = {check: sorted(uses) for check, uses in found.checks().items()}
    return Asking(generation, settings.node_name or linux.place(), ",".join(settings.health_source), checks)


def _listen(path: str) -> socket.socket:
    """A socket of root's alone: the folder is."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    server.bind(path)
    server.listen(16)
    return server


@contextlib.contextmanager
def _until_ended() -> Iterator[socket.socket]:
    """A socket that can be read from when this process was asked to end."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    with reader, writer:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(-1)
