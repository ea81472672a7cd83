"""The supervisor of health: brings the kernel to what the checker says of endpoints.

The checker, a process without privileges (room ``health``), asks the endpoints of what is in force on the node; its
answers are few bytes. One thread hears it, and answers whoever asks for the node's health (module health_loop). This
is the other one: it looks what is in force, and changes the kernel by the same way as an apply.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .. import notrack
from ..outages import Asked
from ..settings import Settings
from ..system import journal, linux, locks
from ..system.tools import NodeError
from ..view import View
from . import converge, effective, files, flows, state
from .answering import Answering
from .origin import HEALTH, Origin
from .rendering import Use
from .verdicts import Verdicts

FOLDER = "/run/sluice-health"
"""Where the checker meets the supervisor: it may be entered without privileges."""

SOCKET = f"{FOLDER}/checker"

LOOK = 1.0
"""Seconds between two looks at what is in force on the node."""

GATHER, _AT_ONCE = 0.02, 0.002
"""Seconds in which changes are gathered to one; the latter for the first after a while, which is to be quick."""

AGAIN = 2.0
"""Seconds until a change that the node refused is tried again."""

STUCK = locks.SECONDS + 60.0
"""Seconds that one turn may take of the thread that changes the kernel: it may wait for who has the lock."""

CHECKS, ANSWERS, READY = b"c", b"a", b"r"
"""What is news for the other thread: other checks are wanted, others answer for the node's health, the first look is
made."""


class Asking(NamedTuple):
    """What is to be asked of which endpoints, and what for. ``generation`` is that of the node.

    ``settings`` are None where nothing is in force; ``views`` are ``Rendering.health_views``. ``clash``: why conntrack
    has to see checks that it should not (module notrack), or empty.
    """

    generation: int = 0
    node: str = ""
    source: str = ""
    checks: Mapping[Asked, Sequence[Use]] = {}
    settings: Settings | None = None
    views: Mapping[str, View] = {}
    clash: str = ""

    @property
    def untracked(self) -> bool:
        """Whether checks may pass by conntrack."""
        return self.settings is not None and self.settings.health_notrack and not self.clash


class Supervisor:
    """What both threads share; whoever changes it, or reads more of it than one attribute, holds ``lock``.

    ``changed``: there is something for ``work``. ``news``: can be read from when there is something for the other one.
    ``error``: what ``work`` could not do last, until it can; or empty.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.verdicts = Verdicts()
        self.asking = Asking()
        self.answering = Answering()
        self.changed = threading.Event()
        self.ending = threading.Event()
        self.news, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._heeded = self.verdicts.down
        """What is down, and whose connections were ended."""
        self.error = ""
        self._turn = 0.0

    def close(self) -> None:
        """Let go of what both threads have; neither runs any more."""
        self.news.close()
        self._writer.close()

    def work(self) -> None:
        """Look what is in force, and bring the kernel to what is down, until ``ending``."""
        changed = 0.0
        while not self.ending.is_set():
            try:
                try:
                    self._look()
                finally:
                    self._begin_turn()
                if self.changed.wait(LOOK) and not self.ending.is_set():
                    busy = time.monotonic() - changed < LOOK
                    time.sleep(GATHER if busy else _AT_ONCE)
                    self.changed.clear()
                    self._answer()
                    self._apply()
                    changed = time.monotonic()
                self.error = ""
            except (NodeError, OSError) as error:
                self._say(f"health: {error}")
                self.changed.set()
                self.ending.wait(AGAIN)

    def _look(self) -> None:
        """Ask for what is in force, if that is another generation now."""
        generation = state.active()
        if generation != self.asking.generation:
            gc.unfreeze()
            asking = _asking(generation)
            # They stay: a collector that looked at all of them again and again would be what is late here.
            gc.collect()
            gc.freeze()
            with self.lock:
                self.asking = asking
                if self.verdicts.ask_for(asking.checks):
                    self.changed.set()
            self._tell(CHECKS)
        self._answer()

    def _begin_turn(self) -> None:
        first, self._turn = not self._turn, time.monotonic()
        if first:
            self._tell(READY)

    def is_well(self, now: float) -> bool:
        """Whether the first look is made, and the thread that works is not stuck."""
        return bool(self._turn) and now - self._turn < STUCK

    def _answer(self) -> None:
        """Have the others answer for what is in force, down and drained now."""
        with self.lock:
            asking, down = self.asking, self.verdicts.down
        if self.answering.look(asking.settings, asking.views, down):
            self._tell(ANSWERS)

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
        new, self._heeded = down - self._heeded, down
        self._end_connections(new)

    def _end_connections(self, down: Iterable[Asked]) -> None:
        """Connections to what is down now: those that it has not answered, and all where that is wished for."""
        uses = [use for check in down for use in self.asking.checks.get(check, ()) if use.protocol == "tcp"]
        if uses:
            ends = {(use.address, use.port) for use in uses}
            flows.end(ends, {(use.address, use.port) for use in uses if use.on_down == "reset"})

    def _tell(self, news: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # then there is news enough
            self._writer.send(news)

    def _say(self, line: str) -> None:
        """Once, as long as it is the same."""
        if line != self.error:
            self.error = line
            journal.say(line)


def _asking(generation: int) -> Asking:
    """What the files in force say is to be asked; nothing where they do not want health."""
    last = state.last()
    wanted = files.parse(last.files, f"generation {last.generation}") if last.files else files.of_nothing()
    if not wanted.settings.get("health") or not wanted.layers:
        return Asking(generation)
    try:
        found = effective.rendering(wanted, last.digest)
        settings = files.settings_of(last.files)
    except ValueError as error:
        raise NodeError(f"{error}: no endpoint is asked") from None
    return Asking(
        generation,
        settings.node_name or linux.place(),
        ",".join(settings.health_source),
        {check: sorted(uses) for check, uses in found.checks.items()},
        settings,
        found.health_views,
        _clash() if settings.health_notrack else "",
    )


def _clash() -> str:
    given, reserved = map(linux.sysctl, ("net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"))
    return notrack.clash(given, reserved or "") if given else ""
