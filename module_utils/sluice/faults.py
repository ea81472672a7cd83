"""What is wrong with an input: one line each, all of them in one run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Fault(NamedTuple):
    """One thing that is wrong (or, as a warning, odd) with one field of one object.

    ``file`` and ``line`` say where (line 1 is the first; 0 where no line is known), ``subject`` is
    ``Kind namespace/name``, ``field`` a path such as ``spec.ports[0].port``.
    """

    file: str
    line: int
    subject: str
    field: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        """``file:line: kind ns/name: field: what is wrong``, without the parts that do not apply."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        parts = [where, self.subject, self.field, ("warning: " if self.warning else "") + self.message]
        return printable(": ".join(part for part in parts if part))


def printable(text: str) -> str:
    """``text`` on one line that a terminal shows as it is: a name in the input may hold anything."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def strictly(faults: Iterable[Fault]) -> list[Fault]:
    """``faults`` for whoever takes no warnings: each is more than one."""
    return [fault._replace(warning=False) for fault in faults]


class InputError(Exception):
    """The input cannot be used. ``faults`` holds every reason, warnings included."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))
