"""Back by hand to the generation before."""

from __future__ import annotations

import contextlib

from ..system import locks
from ..system.tools import NodeError
from . import confirmation, converge, files, pending, state
from .result import Result


def roll_back(directory: str = files.DIRECTORY, *, check: bool = False) -> Result:
    """Put back the generation before this one, in the kernel and in ``directory``: the next boot does not undo it.

    A change that waits for its confirmation is what goes first. Raises NodeError where there is no earlier generation,
    or somebody has edited it.
    """
    if pending.waiting():
        return confirmation.take_back(directory, check=check)
    if check:
        return converge.compare(_before()[1])
    with locks.one_apply():
        target, wanted = _before()
        now, before = state.active(), state.last().files
        state.set_active(target)
        try:
            done = converge.converge(wanted)
        except NodeError:
            with contextlib.suppress(OSError):
                state.set_active(now)
            raise
        files.put(directory, wanted.contents)
    return done.finish()._replace(before=before)


def _before() -> tuple[int, files.Wanted]:
    """The number of the generation before, and what it wants."""
    target = state.previous(state.active())
    if not target:
        raise NodeError("there is no earlier generation to go back to")
    before = state.whole(target)
    if not before:
        raise NodeError(f"generation {target} is not what was kept: it is damaged, or somebody has edited it")
    return target, files.parse(before)
