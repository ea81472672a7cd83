"""Whether this node asks endpoints if they answer, what it asks, and whether the processes run that do it."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ..catalogue import counts
from ..system import linux
from . import effective, files, state, supervisor, verdicts

_NO_ROOT = "only root is told which are down"


class Checking(NamedTuple):
    """Of a node that is on: which of the two processes run, how many checks there are, and how many say down.

    The numbers are None where they cannot be told; ``reason`` says why.
    """

    on: bool = False
    supervisor: bool = False
    checker: bool = False
    checks: int | None = None
    down: int | None = None
    reason: str = ""

    @property
    def well(self) -> bool:
        """Whether what should run does."""
        return not self.on or (self.supervisor and self.checker)

    @property
    def text(self) -> str:
        if not self.on:
            return "off"
        known = f"{counts.several(self.checks, 'check')}" if self.checks is not None else ""
        down = f"{self.down} down" if self.down is not None else ""
        stopped = "" if self.well else f"the {'checker' if self.supervisor else 'supervisor'} does not run"
        return f"on: {', '.join(filter(None, (known, down, self.reason, stopped)))}"

    def fields(self) -> dict[str, Any]:
        """As ``sluice status --json`` prints it: these keys are always there."""
        return {
            "on": self.on,
            "supervisor": self.supervisor,
            "checker": self.checker,
            "checks": self.checks,
            "down": self.down,
        }


OFF = Checking()


def checking() -> Checking:
    """What is in force on this node says whether endpoints are asked, and what."""
    last = state.last()
    if not files.setting(last.files, "health"):
        return OFF
    listens, connected = linux.unix_socket(supervisor.SOCKET)
    # Who is connected to a socket that nobody listens at has lost its supervisor.
    found = Checking(True, listens, listens and connected)
    try:
        wanted = files.parse(last.files, f"generation {last.generation}")
        checks = effective.rendering(wanted, last.digest).checks
    except ValueError as error:
        return found._replace(reason=f"none is asked: {error}")
    if os.geteuid():
        return found._replace(checks=len(checks), reason=_NO_ROOT)
    return found._replace(checks=len(checks), down=len(checks.keys() & verdicts.kept_down().keys()))
