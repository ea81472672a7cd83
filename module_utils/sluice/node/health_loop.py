"""The thread of the supervisor that hears the checker, and answers whoever asks for this node's health."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from typing import Callable

from ..health import peers, privileges, wire
from ..health.check import Check
from ..outages import Asked
from ..system import journal, locks, notify, signals
from . import health_report
from .findings import DROPS, Findings, Unheeded
from .health_metrics import HealthMetrics
from .listeners import Listeners
from .published import Published
from .supervisor import ANSWERS, CHECKS, FOLDER, SOCKET, Supervisor

BEAT = 2.0
"""Seconds between two words to systemd that all is well: less than half of its patience (WatchdogSec=)."""

_PATIENCE = 10.0
"""Seconds for whoever asks to take a report."""

_NO_BEAT_YET = wire.Heartbeat(0, 0, 0, 0)

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
Handler = Callable[[], None]


class Loop:
    """The loop of ``supervisor``, until ``ended`` can be read from. Raises OSError where it cannot begin."""

    def __init__(self, supervisor: Supervisor, ended: socket.socket) -> None:
        self._supervisor = supervisor
        self._selector = selectors.DefaultSelector()
        self._listeners = Listeners(self._selector)
        self._metrics = HealthMetrics()
        self._published = Published()
        self._link: wire.Supervisor | None = None
        self._unheeded = Unheeded()
        """That of the connections before this one."""
        self._numbers: list[Asked] = []
        """The checks that the checker knows, by their numbers."""
        self._over = False
        self._next_beat = 0.0
        self._sockets = peers.listen(SOCKET, privileges.group()), _listen(health_report.SOCKET)
        checker, reports = self._sockets
        self._watch(ended, self._end)
        self._watch(supervisor.news, self._heed)
        self._watch(checker, self._meet)
        self._watch(reports, self._report)

    def close(self) -> None:
        self._part()
        self._listeners.close()
        for each in self._sockets:
            each.close()
        self._selector.close()
        self._published.end()

    def step(self) -> bool:
        """Do what is to be done. False when this is the end."""
        now = time.monotonic()
        if now >= self._next_beat and self._supervisor.is_well(now):
            notify.notify(notify.READY, notify.WATCHDOG)
            self._next_beat = now + BEAT
        self._listeners.expire(now)
        self._published.look(now, lambda: self._metrics.text(self.findings()))
        due = min(self._listeners.due(), self._published.due)
        for key, events in self._selector.select(min(BEAT, max(due - now, 0.0))):
            if self._listeners.owns(key):
                self._listeners.handle(key, events)
            else:
                key.data()
        return not self._over

    def _watch(self, what: socket.socket, handler: Handler) -> None:
        self._selector.register(what, _READ, handler)

    def _end(self) -> None:
        self._over = True

    def _heed(self) -> None:
        """The other thread has news."""
        news = self._supervisor.news.recv(4096)
        if ANSWERS in news:
            for line in self._listeners.listen(self._supervisor.answering.wanted):
                journal.say(f"health: {line}")
        if CHECKS in news:
            self._tell()
        self._published.note()

    # --- the checker

    def _meet(self) -> None:
        """A checker comes; one that was there is not heard any more."""
        found, _address = self._sockets[0].accept()
        user = peers.user(found)
        if user not in (os.geteuid(), privileges.user()):
            self._refuse(found, user)
            return
        self._part()
        self._link = wire.Supervisor(found)
        self._selector.register(self._link, _READ, self._hear)
        self._tell()
        self._published.note()

    def _refuse(self, link: socket.socket, user: int) -> None:
        """Whoever has the checker's group may connect, and many have that of nobody in particular."""
        link.close()
        if not self._unheeded.refused:
            journal.say(f"health: user {user} wanted to be the checker: turned away, as others that come will be")
        self._unheeded = self._unheeded._replace(refused=self._unheeded.refused + 1)
        self._published.note()

    def _part(self) -> None:
        if self._link:
            self._unheeded = self._all_unheeded()
            self._published.note()
            self._selector.unregister(self._link)
            self._link.close()
            self._link = None

    def _tell(self) -> None:
        """Have the checker ask what is wanted now."""
        asking = self._supervisor.asking
        self._numbers = list(asking.checks)
        checks = [(number, Check(*each)) for number, each in enumerate(self._numbers)]
        told = asking.generation, asking.node, asking.source, checks
        self._talk(lambda link: link.send(*told, untracked=asking.untracked))

    def _hear(self) -> None:
        self._talk(self._take)

    def _take(self, link: wire.Supervisor) -> None:
        link.flush()
        before = link.heartbeat
        records, now, found = link.receive(), time.time(), self._supervisor
        if link.heartbeat and link.heartbeat.tracked and not (before and before.tracked):
            journal.say(f"health: {DROPS}")
        with found.lock:
            # The checks may be others by now: who is not asked for any more is not believed either.
            changes = [
                found.verdicts.take(self._numbers[each.id], each.state, each.reason, each.milliseconds, now)
                for each in records
            ]
        if records:
            self._published.note()
        if any(changes):
            found.changed.set()

    def _talk(self, about: Callable[[wire.Supervisor], None]) -> None:
        if self._link:
            try:
                about(self._link)
                wanted = _READ | (_WRITE if self._link.wants_write else 0)
                self._selector.modify(self._link, wanted, self._hear)
            except OSError:
                self._part()

    # --- who asks what is known

    def _report(self) -> None:
        """Tell who comes, in a thread of its own: it may be megabytes."""
        asked, _address = self._sockets[1].accept()
        found = self.findings()

        def tell() -> None:
            with asked, contextlib.suppress(OSError):
                asked.settimeout(_PATIENCE)
                for part in health_report.told(found):
                    asked.sendall(part)

        threading.Thread(target=tell, daemon=True).start()

    def findings(self) -> Findings:
        """What is known now."""
        found = self._supervisor
        with found.lock:
            asking, known, changes = found.asking, dict(found.verdicts.known), dict(found.verdicts.changes)
        return Findings(
            asking.generation,
            asking.checks,
            known,
            changes,
            (self._link.heartbeat or _NO_BEAT_YET) if self._link else None,
            self._all_unheeded(),
            found.error,
            len(found.answering.drained),
            found.answering.condition(),
            asking.clash,
        )

    def _all_unheeded(self) -> Unheeded:
        before, link = self._unheeded, self._link
        if link is None:
            return before
        return before._replace(dropped=before.dropped + link.dropped, stale=before.stale + link.stale)


def _listen(path: str) -> socket.socket:
    """A socket of root's alone, as its folder is."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    try:
        server.bind(path)
        server.listen(16)
    except BaseException:
        server.close()
        raise
    return server


def main() -> int:
    """Be the supervisor of this node until SIGTERM. An exit code."""
    os.makedirs(FOLDER, exist_ok=True)
    os.chmod(FOLDER, 0o755)  # whatever the umask
    os.makedirs(locks.RUN, mode=0o700, exist_ok=True)
    found = Supervisor()
    worker = threading.Thread(target=found.work)
    worker.start()
    try:
        with signals.until_ended() as ended, contextlib.closing(Loop(found, ended)) as loop:
            while loop.step():
                pass
    finally:
        found.ending.set()
        found.changed.set()
        worker.join()
        found.close()
    return 0
