"""What a node is, in one answer: backend, generation, Services, what waits, whether the kernel has drifted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import __version__
from ..catalogue import counts
from ..faults import printable
from ..system import conntrack, linux, owned_files
from ..system.tools import NodeError
from . import apply, checking, difference, files, history, outage, pending, rivals, state
from .checking import Checking
from .pending import Pending
from .unrouted import Unrouted, unrouted, warning

NO_ROOT = "only root can compare the kernel"


class Drift(NamedTuple):
    """Lines in which the kernel differs from the node's files; None where they could not be compared, and why."""

    lines: int | None
    reason: str = ""

    @property
    def text(self) -> str:
        if self.lines is None:
            return f"not known: {self.reason}"
        return f"{counts.several(self.lines, 'line')} of difference (sluice diff)" if self.lines else "none"


class Status(NamedTuple):
    """What a node is. ``held`` is None where its files have no catalogue that can be read.

    ``connections``: how many conntrack has, and how many there is room for; 0, 0 without it.
    """

    node: str
    backend: str
    in_force: state.InForce
    waiting: Pending | None
    held: counts.Counts | None
    unrouted: Unrouted
    connections: tuple[int, int]
    drift: Drift
    rolled_back: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    health: Checking = checking.OFF
    drained: Sequence[str] = ()
    node_drained: bool = False
    proxies: Sequence[str] = ()

    @property
    def well(self) -> bool:
        """Whether there is nothing to look after."""
        overdue = self.waiting and self.waiting.overdue
        healthy = self.health.well and not (self.unrouted or self.nearly_full)
        return healthy and not (self.drift.lines or self.rolled_back or overdue or self.proxies)

    @property
    def nearly_full(self) -> str:
        return conntrack.nearly_full(*self.connections)

    @property
    def asked(self) -> bool:
        """Whether all was asked that may be asked; only root may ask after drift."""
        return self.drift.lines is not None or self.drift.reason == NO_ROOT

    def fields(self) -> dict[str, Any]:
        """As ``sluice status --json`` prints it: these keys are always there."""
        held, waiting = self.held, self.waiting
        return {
            "node": self.node,
            "backend": self.backend,
            "generation": self.in_force.generation,
            "since": history.in_utc(self.in_force.time) or None,
            "by": history.as_fields(self.in_force.origin),
            "pending": {"seconds_left": _left(waiting), "change": waiting.change} if waiting else None,
            "services": held.services if held else None,
            "endpoints": held.endpoints if held else None,
            "ready": held.ready if held else None,
            "unrouted": list(self.unrouted),
            "health": self.health.fields(),
            "drained": list(self.drained),
            "drained_node": self.node_drained,
            "connections": self.connections[0],
            "connections_max": self.connections[1],
            "proxies": list(self.proxies),
            "drift": None if self.drift.lines is None else self.drift.lines > 0,
            "drift_unknown": self.drift.reason or None,
            "rolled_back": _dated(self.rolled_back),
            "last_error": _dated(self.error),
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The same for a person."""
        found = {
            "node": self.node,
            "backend": self.backend or "none: nothing of Sluice is wanted",
            "generation": self._generation(),
            "pending": self._pending(),
            "Services": self._services(),
            "routes": warning(self.unrouted) or "to all endpoints",
            "health": self.health.text,
            "drained": ", ".join([*(["this node"] if self.node_drained else []), *self.drained]) or "nothing",
            "conntrack": self._conntrack(),
            "proxies": "; ".join(self.proxies) or "no other one on this node",
            "drift": self.drift.text,
            "rolled back": _told(self.rolled_back, "reason"),
            "last error": _told(self.error, "message"),
            "version": __version__,
        }
        width = max(map(len, found))
        return [f"{name.ljust(width)}  {printable(text)}" for name, text in found.items()]

    def _generation(self) -> str:
        number, time, origin = self.in_force
        return f"{number}, since {history.shown(time)}, by {history.by(origin)}" if number else "none"

    def _pending(self) -> str:
        if not self.waiting:
            return "nothing"
        if self.waiting.overdue:
            return f"a change was to be confirmed by {self.waiting.time}: it is going to be taken back"
        left = counts.several(_left(self.waiting), "second")
        return f"a change has to be confirmed within {left}, or it is taken back (sluice confirm)"

    def _services(self) -> str:
        if self.held is None:
            return "not known: no catalogue that this version reads is among the files"
        endpoints, waiting = counts.several(self.held.endpoints, "endpoint"), self.held.endpoints - self.held.ready
        return f"{self.held.text}, {endpoints}" + (f" ({waiting} not ready)" if waiting else "")

    def _conntrack(self) -> str:
        count, room = self.connections
        return self.nearly_full or (f"{count} of {room} connections" if room else "not in this kernel")


def status(directory: str = files.DIRECTORY) -> Status:
    """What this node is, by its files in ``directory``; drift is asked after as root only.

    Raises NodeError where there is no such file.
    """
    paths = {name: os.path.join(directory, name) for name in (files.SETTINGS_FILE, files.CATALOGUE_FILE)}
    contents = {name: text for name, path in paths.items() if (text := _content(path)) is not None}
    if files.SETTINGS_FILE not in contents:
        raise NodeError(f"there is no {paths[files.SETTINGS_FILE]}: this node was given no Services")
    health = checking.checking()  # before the kernel is asked: what is known to be down by then has to be out of it
    return Status(
        node=os.uname().nodename,
        backend=difference.backend(contents, history.UNKNOWN),
        in_force=state.in_force(),
        waiting=pending.waiting(),
        held=counts.counts(contents.get(files.CATALOGUE_FILE)),
        unrouted=unrouted(contents),
        connections=conntrack.fill(),
        drift=_drift(directory),
        rolled_back=state.note(),
        error=state.error(),
        health=health,
        drained=sorted(outage.current().drained),
        node_drained=outage.node_is_drained(),
        proxies=[*rivals.running(by_port=False), *rivals.left()],
    )


def _drift(directory: str) -> Drift:
    if os.geteuid():
        return Drift(None, NO_ROOT)
    try:
        return Drift(len(apply.apply(lambda: files.load(directory), check=True).diff()))
    except NodeError as error:
        return Drift(None, str(error))


def _content(path: str) -> str | None:
    """What a file holds; None where it cannot be told."""
    try:
        return owned_files.content(path)
    except (OSError, UnicodeDecodeError):
        return None


def _left(waiting: Pending) -> int:
    """Whole seconds until it is taken back."""
    return 0 if waiting.overdue else max(0, int(waiting.until - linux.uptime()))


def _dated(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {**value, "time": history.in_utc(value["time"])} if value else None


def _told(value: Mapping[str, Any] | None, name: str) -> str:
    return f"{history.shown(value['time'])}: {value[name]}" if value else "none"
