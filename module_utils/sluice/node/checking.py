"""Whether this node asks endpoints if they answer, whether the processes run that do it, and what they find."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ..catalogue import counts
from ..system import linux
from ..system.tools import NodeError
from . import files, health_report, state, supervisor, verdicts

_NO_ROOT = "only root is told what they find"


class Checking(NamedTuple):
    """Of a node that is on: which of the two processes run, how many checks there are, and how many say down.

    The numbers are None where they cannot be told. ``error``: what the supervisor cannot do now, or that it does not
    answer.
    """

    on: bool = False
    supervisor: bool = False
    checker: bool = False
    checks: int | None = None
    down: int | None = None
    error: str = ""

    @property
    def well(self) -> bool:
        """Whether what should run does, and can do what it should."""
        return not self.on or (self.supervisor and self.checker and not self.error)

    @property
    def text(self) -> str:
        if not self.on:
            return "off"
        known = counts.several(self.checks, "check") if self.checks is not None else ""
        down = f"{self.down} down" if self.down is not None else _NO_ROOT if not self.error else ""
        missing = "" if self.checker else "checker" if self.supervisor else "supervisor"
        stopped = f"the {missing} does not run: nothing is found down, or up again" if missing else ""
        return f"on: {', '.join(filter(None, (known, down, self.error, stopped)))}"

    def fields(self) -> dict[str, Any]:
        """As ``sluice status --json`` prints it: these keys are always there."""
        return {**self._asdict(), "error": self.error or None}


OFF = Checking()


def checking() -> Checking:
    """What is in force on this node says whether endpoints are asked, and the supervisor what comes of it."""
    if not files.setting(state.last().files, "health"):
        return OFF
    listens, connected = linux.unix_socket(supervisor.SOCKET)
    # Who is connected to a socket that nobody listens at has lost its supervisor.
    found = Checking(True, listens, listens and connected)
    if os.geteuid():
        return found
    if not listens:
        return found._replace(down=len(verdicts.kept_down()))
    try:
        told = health_report.summary()
    except NodeError as error:
        return found._replace(error=str(error))
    return found._replace(checks=told.checks, down=told.down, error=told.error)
