"""Real servers that go when their connections have ended, or when the time for it is over.

A timer of the node's own does it, across runs of Ansible: an apply that leaves something to drain starts it, and it
ends with the last. After a reboot the kernel holds no connections, and there is nothing to drain.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

from ...node import state, timer
from ...system import owned_files
from ...system.locks import locked
from . import kernel as ipvs_kernel
from .plan import DRAINED, Draining, Step
from .text import Frontend

UNIT = "sluice-drain"
SECONDS = 5
"""Between two looks: as long may a real server stay whose connections have ended."""

_FILE = f"{state.ROOT}/drains.json"


class Drains(NamedTuple):
    """What is to go: real servers with their deadlines (seconds of the epoch).

    ``steps`` are what a change of the backend leaves for later, with one deadline of their own: they are carried out
    when the virtual servers ``frontends`` have no connections any more.
    """

    real: dict[Draining, float]
    steps: tuple[Step, ...]
    frontends: tuple[Frontend, ...]
    deadline: float

    def __bool__(self) -> bool:
        return bool(self.real or self.steps)


NOTHING = Drains({}, (), (), 0.0)


def read() -> Drains:
    """What is to be drained now."""
    text = owned_files.content(_FILE)
    if not text:
        return NOTHING
    fields = json.loads(text)
    return Drains(
        {Draining(Frontend(*frontend), where): deadline for frontend, where, deadline in fields["real"]},
        tuple(Step(*step) for step in fields["steps"]),
        tuple(Frontend(*frontend) for frontend in fields["frontends"]),
        fields["deadline"],
    )


def write(drains: Drains) -> None:
    """Keep what is to be drained."""
    if not drains:
        owned_files.write({_FILE: None})
        return
    real = [(entry.frontend, entry.real, deadline) for entry, deadline in drains.real.items()]
    owned_files.write({_FILE: json.dumps({**drains._asdict(), "real": real})}, sync=False)


def update(
    draining: Collection[Draining], seconds: int, steps: Iterable[Step] = (), frontends: Iterable[Frontend] = ()
) -> None:
    """What is to be drained after an apply: deadlines of earlier applies stay, what came back is not in it.

    What is empty goes at once; the node's timer sees to the rest.
    """
    before, now = read(), time.time()
    later = tuple(steps)
    deadline = before.deadline if later and later == before.steps else now + seconds
    real = {entry: before.real.get(entry, now + seconds) for entry in draining}
    drains = Drains(real, later, tuple(frontend for frontend in frontends if frontend.protocol in DRAINED), deadline)
    if drains or before:
        write(drains)
    if drains and _once():
        timer.repeat(UNIT, SECONDS, _FILE, "drain")
    elif before:
        timer.end(UNIT)


def pending(after: Collection[Step]) -> bool:
    """Whether another backend serves already, and only what ``after`` still has to go waits for its connections."""
    return bool(after) and read().steps == tuple(after)


def run() -> bool:
    """Remove what is empty or late. Returns whether something is left; the timer ends with the last."""
    with locked():
        left = _once()
    if not left:
        timer.end(UNIT)
    return left


def _once() -> bool:
    drains = read()
    busy = ipvs_kernel.busy({*drains.frontends, *(entry.frontend for entry in drains.real)})
    done, steps, left = settled(drains, busy, time.time())
    ipvs_kernel.delete(done)
    if steps:
        ipvs_kernel.carry_out(steps)
        ipvs_kernel.remove_device()
        state.set_claims(())
    write(left)
    return bool(left)


def settled(drains: Drains, busy: Collection[Draining], now: float) -> tuple[list[Draining], tuple[Step, ...], Drains]:
    """What goes at ``now``, real servers and steps, while ``busy`` ones have connections; and what is left."""
    done = [entry for entry, deadline in drains.real.items() if entry not in busy or now > deadline]
    left = drains._replace(real={entry: deadline for entry, deadline in drains.real.items() if entry not in done})
    waits = any(entry.frontend in drains.frontends for entry in busy) and now <= drains.deadline
    return (done, (), left) if waits else (done, drains.steps, left._replace(steps=(), frontends=()))
