"""Which real servers may go now: those whose connections have ended, or whose time is over. Pure.

After a reboot the kernel holds no connections, and there is nothing to drain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from .plan import DRAINED, Draining, Step
from .text import VirtualAddress


class Drains(NamedTuple):
    """What is to go: real servers with their deadlines (seconds of the epoch).

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
