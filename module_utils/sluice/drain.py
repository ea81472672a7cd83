"""Real servers that go when their connections have ended, or when the time for it is over.

A process of the node's own does it, across runs of Ansible: started by an apply that leaves something to drain, it
ends when nothing is left. After a reboot the kernel holds no connections, and there is nothing to drain.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

from . import ipvs_kernel, owned_files, state
from .iptables_kernel import KernelError
from .ipvs_plan import Draining, Step
from .ipvs_text import Frontend
from .lock import locked

UNIT = "sluice-drain"
_FILE = "/var/lib/sluice/drains.json"
_ONE_AT_A_TIME = "/run/sluice-drain.lock"
_INTERVAL = 1.0


class Drains(NamedTuple):
    """What is to go: real servers with their deadlines (seconds of the epoch), and steps for when all are empty.

    ``steps`` are what a change of the backend leaves for later, with one deadline of their own.
    """

    real: dict[Draining, float]
    steps: tuple[Step, ...]
    deadline: float

    def __bool__(self) -> bool:
        return bool(self.real or self.steps)


NOTHING = Drains({}, (), 0.0)


def read() -> Drains:
    """What is to be drained now."""
    text = owned_files.content(_FILE)
    if not text:
        return NOTHING
    fields = json.loads(text)
    real = {Draining(Frontend(*frontend), where): deadline for frontend, where, deadline in fields["real"]}
    return Drains(real, tuple(Step(*step) for step in fields["steps"]), fields["deadline"])


def write(drains: Drains) -> None:
    """Keep what is to be drained."""
    if not drains:
        owned_files.write({_FILE: None})
        return
    real = [(entry.frontend, entry.real, deadline) for entry, deadline in drains.real.items()]
    fields = {"real": real, "steps": drains.steps, "deadline": drains.deadline}
    owned_files.write({_FILE: json.dumps(fields)}, sync=False)


def update(draining: Collection[Draining], seconds: int, steps: Iterable[Step] = ()) -> Drains:
    """What is to be drained after an apply: deadlines of earlier applies stay, what came back is not in it."""
    before, now = read(), time.time()
    real = {entry: before.real.get(entry, now + seconds) for entry in draining}
    drains = Drains(real, tuple(steps), now + seconds)
    write(drains)
    return drains


def once() -> bool:
    """Remove what is empty or late. Returns whether something is left. Call it under the node's lock."""
    drains = read()
    busy = ipvs_kernel.connections()
    now = time.time()
    done = [entry for entry, deadline in drains.real.items() if not busy.get(entry) or now > deadline]
    there = [entry for entry in done if entry in busy]
    if there:
        ipvs_kernel.carry_out([Step("ipvsadm", "".join(f"{entry.delete}\n" for entry in there))])
    left = drains._replace(real={entry: when for entry, when in drains.real.items() if entry not in done})
    going = "".join(step.text for step in left.steps)
    waits = any(count and f"-D {entry.frontend.text}\n" in going for entry, count in busy.items())
    if left.steps and (not waits or now > left.deadline):
        ipvs_kernel.carry_out(left.steps)
        ipvs_kernel.remove_device()
        left = left._replace(steps=())
        state.set_claims(())
    write(left)
    return bool(left)


def run() -> None:
    """Drain until nothing is left. A second process of this kind ends at once."""
    with open(_ONE_AT_A_TIME, "a", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        while True:
            try:
                with locked():
                    if not once():
                        return
            except KernelError:
                pass  # an apply is at it, or a tool fails for now: the next round tries again
            time.sleep(_INTERVAL)
