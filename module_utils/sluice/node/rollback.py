"""Back by hand to an earlier generation."""

from __future__ import annotations

import contextlib

from ..catalogue import counts
from ..system import locks
from ..system.tools import NodeError
from . import confirmation, converge, files, history, pending, state
from .origin import ROLLBACK, SOMEBODY, Origin
from .result import Result


def roll_back(
    directory: str = files.DIRECTORY,
    *,
    to: int | None = None,
    check: bool = False,
    origin: Origin = SOMEBODY,
) -> Result:
    """Put back generation ``to``, in the kernel and in ``directory``: the next boot does not undo it.

    None: a change that waits for its confirmation is taken back; where none waits, the generation before the one in
    force is put back. The result's ``headline`` says which it is. Raises NodeError where there is no such generation,
    where it is damaged or edited, and without ``to`` also where it has no Services.
    """
    origin = origin._replace(by=ROLLBACK)
    waiting = pending.waiting() if to is None else None
    if waiting:
        line = f"the change that waits for its confirmation is taken back: {_back(waiting.generation)}"
        return confirmation.take_back(directory, check=check, origin=origin)._replace(headline=line)
    if check:
        target, wanted = _target(to)
        return converge.compare(wanted)._replace(headline=_back(target))
    with locks.one_apply():
        target, wanted = _target(to)
        # What cannot be gone back to is the asker's mistake, and nothing that the node suffers from.
        with state.keeping_errors():
            now, before = state.in_force(), state.last().files
            state.set_active(target, origin)
            try:
                done = converge.converge(wanted, origin=origin)
            except NodeError:
                with contextlib.suppress(OSError):
                    state.set_in_force(now)
                raise
            files.put(directory, wanted.contents)
            # Else the node would go back to what was before the change that waits.
            confirmation.give_up()
            # The layers' records may be lost, and then converge knows of no other files than these.
            done = done._replace(services=converge.services(before, wanted.contents))
            if now.generation != target:
                done = done._replace(generation=target)
    return done.finish()._replace(headline=_back(target), before=before)


def _target(to: int | None) -> tuple[int, files.Wanted]:
    """The generation that is asked for, and what it wants."""
    number = state.previous(state.active()) if to is None else to
    if to is not None and state.generation(to) is None:
        raise NodeError(f"there is no generation {to}: {history.kept_ones()}")
    if not number:
        raise NodeError(f"there is no earlier generation to go back to: {history.kept_ones()}")
    found = state.whole(number)
    if not found:
        raise NodeError(f"generation {number} is not what was kept: it is damaged, or somebody has edited it")
    wanted = files.parse(found)
    if to is None and _is_empty(wanted):
        raise NodeError(f"generation {number} has no Services: sluice rollback --to {number} goes there all the same")
    return number, wanted


def _is_empty(wanted: files.Wanted) -> bool:
    held = counts.counts(wanted.contents.get(files.CATALOGUE_FILE))
    return not wanted.layers or (held is not None and not held.services and not held.host_ports)


def _back(number: int) -> str:
    return f"back to {history.named(number)}"
