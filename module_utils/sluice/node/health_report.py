"""What this node's checks find, for people and programs: asked of the supervisor, which knows it all."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..addresses import host_port
from ..catalogue import listing
from ..health.check import probe_of
from ..health.reasons import WORDS, State
from ..outages import Asked
from ..system import locks
from ..system.tools import NodeError
from .findings import Findings, Summary, Unheeded
from .rendering import Use
from .verdicts import Verdict

SOCKET = f"{locks.RUN}/health.sock"
"""Where the supervisor tells root."""

_SECONDS = 10
_WORDS = {State.UNKNOWN: "unknown", State.UP: "up", State.DOWN: "down"}


class Row(NamedTuple):
    """One check: what is asked, what is known, since when (seconds of the epoch, 0: never), and for which ports."""

    address: str
    port: int
    kind: str
    state: str
    reason: str
    since: float
    milliseconds: int
    services: tuple[str, ...]


class Report(NamedTuple):
    """What is known of all checks."""

    summary: Summary
    checks: tuple[Row, ...]

    def fields(self) -> dict[str, Any]:
        """As ``sluice health --json`` prints it."""
        rows = [{**row._asdict(), "services": list(row.services), "since": row.since or None} for row in self.checks]
        return {**self.summary.fields(), "checks": rows}

    def table(self, now: float) -> str:
        """What is down first, then what is not known yet, then what is up."""
        order = ("down", "unknown", "up")
        rows = [["ENDPOINT", "CHECK", "STATE", "SINCE", "REASON", "SERVICES"]]
        for row in sorted(self.checks, key=lambda row: (order.index(row.state), row)):
            since = listing.since(row.since, now) if row.since else listing.UNKNOWN
            where = host_port(row.address, row.port) if row.port else row.address
            rows.append([where, row.kind, row.state, since, row.reason, ",".join(row.services)])
        return listing.aligned(rows)


def row(check: Asked, verdict: Verdict, uses: Iterable[Use]) -> Row:
    address, port, question = check
    names = tuple(sorted({use.name for use in uses}))
    told = _WORDS[verdict.state], WORDS[verdict.reason], verdict.since, verdict.milliseconds
    return Row(address, port, _kind(question), *told, names)


@functools.lru_cache(maxsize=1024)
def _kind(question: str) -> str:
    return probe_of(question).kind


_AT_ONCE = 500
"""Rows that are told in one go."""


def told(found: Findings) -> Iterator[bytes]:
    """What the supervisor tells: a line of JSON for the summary, and then one for each check, some at a time."""
    yield _line(found.summary.fields())
    lines = []
    for check, uses in found.checks.items():
        lines.append(_line(row(check, found.known.get(check, Verdict()), uses)))
        if len(lines) == _AT_ONCE:
            yield b"".join(lines)
            lines.clear()
    yield b"".join(lines)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def summary() -> Summary:
    """What the supervisor says in short. Raises NodeError where it does not run, or says nothing."""
    with _asked() as lines:
        return _summary(lines)


def report() -> Report:
    """All that the supervisor says. Raises NodeError where it does not run, or does not say it to the end."""
    with _asked() as lines:
        found = _summary(lines)
        rows = tuple(Row._make([*each[:-1], tuple(each[-1])]) for each in lines)
        if len(rows) != found.checks:
            raise ValueError(f"after {len(rows)} of {found.checks} checks")
    return Report(found, rows)


@contextlib.contextmanager
def _asked() -> Iterator[Iterator[Any]]:
    """The lines that the supervisor says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(_SECONDS)
        try:
            link.connect(SOCKET)
            with link.makefile("rb") as stream:
                yield map(json.loads, stream)
        except PermissionError:
            raise NodeError(f"{SOCKET}: needs root") from None
        except (OSError, TypeError, ValueError) as error:
            raise NodeError(f"the supervisor of health does not answer ({getattr(error, 'strerror', error)})") from None


def _summary(lines: Iterator[Any]) -> Summary:
    try:
        fields = next(lines)
        return Summary(**{**fields, "unheeded": Unheeded(**fields["unheeded"])})
    except (StopIteration, KeyError, TypeError):
        raise ValueError("not in words of this version") from None


def shown(found: Report) -> str:
    """The table, and last lines that count."""
    return found.table(time.time()) + "".join(f"{line}\n" for line in found.summary.lines())
