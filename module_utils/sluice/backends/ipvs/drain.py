"""Which real servers may go now: those whose connections have ended, or whose time is over. Pure.

After a reboot the kernel holds no connections, and there is nothing to drain. So deadlines are seconds of uptime:
somebody may set the clock.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from . import text
from .plan import DRAINED, Draining, Step
from .text import VirtualAddress


class Drains(NamedTuple):
    """What is to go: real servers with their deadlines (seconds of uptime).

    ``steps`` are what a change of the backend leaves for later, with one deadline of their own: they are carried out
    when the virtual servers ``frontends`` have no connections any more.
    """

    real: dict[Draining, float]
    steps: tuple[Step, ...]
    frontends: tuple[VirtualAddress, ...]
    deadline: float

    def __bool__(self) -> bool:
        return bool(self.real or self.steps)


NO_DRAINS = Drains({}, (), (), 0.0)

_LINES = {
    "ipvsadm": re.compile(r"-D (?:-t|-u|--sctp-service) [\[\]0-9a-f:.]+"),
    "address": re.compile(r"del [0-9a-f:.]+/[0-9]+"),
}
"""All that may wait: whoever gives these to a tool can take nothing away but what has an address."""


def is_drains(value: Any) -> bool:
    """Whether a JSON value has the form of ``to_json``, in every field: what it says is given to the kernel."""
    try:
        drains = from_json(value)
        return (
            all(type(number) in (int, float) for number in (drains.deadline, *drains.real.values()))
            and all(_is_server(entry.virtual, entry.real) for entry in drains.real)
            and all(_is_server(virtual, "192.0.2.1:1") for virtual in drains.frontends)
            and all(_LINES[step.tool].fullmatch(line) for step in drains.steps for line in step.text.splitlines())
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        return False


def _is_server(virtual: VirtualAddress, real: str) -> bool:
    """Whether the text of both says just what they say."""
    said = text.parse(f"-A {virtual.text} -s rr\n-a {virtual.text} -r {real} -m -w 0\n")
    return {frontend: list(server.real) for frontend, server in said.items()} == {virtual: [real]}


def from_json(fields: Mapping[str, Any] | None) -> Drains:
    """The drains that ``to_json`` wrote; none where there are none."""
    if not fields:
        return NO_DRAINS
    return Drains(
        {Draining(VirtualAddress(*virtual), where): deadline for virtual, where, deadline in fields["real"]},
        tuple(Step(*step) for step in fields["steps"]),
        tuple(VirtualAddress(*virtual) for virtual in fields["frontends"]),
        fields["deadline"],
    )


def to_json(drains: Drains) -> dict[str, Any]:
    """The drains as JSON values: the content of ``drains.json``."""
    real = [(entry.virtual, entry.real, deadline) for entry, deadline in drains.real.items()]
    return {**drains._asdict(), "real": real}


def after_apply(
    before: Drains,
    draining: Collection[Draining],
    steps: tuple[Step, ...],
    frontends: Iterable[VirtualAddress],
    until: float,
) -> Drains:
    """What is to be drained after an apply, by ``until`` at the latest.

    Deadlines of earlier applies stay where they are sooner, and what came back is not drained any more.
    """
    deadline = min(before.deadline, until) if steps and steps == before.steps else until
    real = {entry: min(before.real.get(entry, until), until) for entry in draining}
    return Drains(real, steps, tuple(each for each in frontends if each.protocol in DRAINED), deadline)


def settled(drains: Drains, busy: Collection[Draining], now: float) -> tuple[list[Draining], tuple[Step, ...], Drains]:
    """What goes at ``now``, real servers and steps, while ``busy`` ones have connections; and what is left."""
    done = [entry for entry, deadline in drains.real.items() if entry not in busy or now >= deadline]
    left = drains._replace(real={entry: deadline for entry, deadline in drains.real.items() if entry not in done})
    waits = any(entry.virtual in drains.frontends for entry in busy) and now < drains.deadline
    return (done, (), left) if waits else (done, drains.steps, left._replace(steps=(), frontends=()))
