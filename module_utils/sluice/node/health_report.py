"""What this node's checks find, for people and programs: asked of the supervisor, which knows it all."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .. import notrack
from ..addresses import host_port
from ..catalogue import listing
from ..health.check import probe_of
from ..health.reasons import WORDS, State
from ..outages import Asked
from ..system import locks
from ..system.tools import NodeError
from .rendering import Use
from .verdicts import Verdict

SOCKET = f"{locks.RUN}/health.sock"
"""Where the supervisor tells root."""

DROPS = (
    "a firewall drops answers to checks that conntrack does not see, and some endpoints are asked with it; let in "
    f"TCP of state UNTRACKED to ports {notrack.FIRST}-{notrack.LAST}"
)
"""What is told where conntrack has to see checks since a firewall wants it."""

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
    """``checker``: whether the checker lives; ``late``: microseconds by which 99 of 100 checks began late at most.

    ``conntrack``: why conntrack sees checks that it should not, or empty.
    """

    generation: int
    checker: bool
    late: int
    conntrack: str
    checks: tuple[Row, ...]

    def count(self, state: str) -> int:
        return sum(row.state == state for row in self.checks)

    def fields(self) -> dict[str, Any]:
        """As ``sluice health --json`` prints it."""
        rows = [{**row._asdict(), "services": list(row.services), "since": row.since or None} for row in self.checks]
        return {**self._asdict(), "checks": rows}

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
    return Row(address, port, probe_of(question).kind, *told, names)


def report() -> Report:
    """What the supervisor says. Raises NodeError where it does not run, or says nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(_SECONDS)
        try:
            link.connect(SOCKET)
            with link.makefile("rb") as stream:
                found: Mapping[str, Any] = json.loads(stream.read())
        except PermissionError:
            raise NodeError(f"{SOCKET}: needs root") from None
        except (OSError, ValueError) as error:
            raise NodeError(f"the supervisor of health does not answer ({getattr(error, 'strerror', error)})") from None
    rows = tuple(
        Row(**{**each, "services": tuple(each["services"]), "since": each["since"] or 0}) for each in found["checks"]
    )
    return Report(found["generation"], found["checker"], found["late"], found["conntrack"], rows)


def shown(found: Report) -> str:
    """The table, and a last line that counts."""
    parts = [f"{found.count(state)} {state}" for state in ("up", "down", "unknown") if found.count(state)]
    lives = "" if found.checker else "; the checker does not run: this is what was known last"
    more = f"{found.conntrack}\n" if found.conntrack else ""
    return f"{found.table(time.time())}{len(found.checks)} checks: {', '.join(parts) or 'none'}{lives}\n{more}"
