"""Back to what was before: an unconfirmed change is taken back, or the generation before is put back."""

from __future__ import annotations

import contextlib

from ..backends import registry
from ..backends.interface import Files
from ..system import linux, locks
from ..system.tools import NodeError
from . import files, state
from .apply import apply, apply_locked
from .result import Result

_UNCONFIRMED = "it was not confirmed in time"


def take_back(directory: str = files.DIRECTORY, *, change: str = "", check: bool = False) -> Result:
    """Take back the change that waits for its confirmation; with ``change``, only if it is the one of that name.

    The kernel gets what it held before, the files in ``directory`` what they said before. Raises NodeError.
    """
    with locks.one_apply():
        waiting = state.pending()
        if waiting is None or change not in ("", waiting.change):
            return Result()  # confirmed in the last moment, or part of a later change that waits for longer
        files_before = _files_before(waiting)
        # Another boot, another kernel: what strangers had in that one went with it.
        before = waiting.contents if waiting.place == linux.place() else files_before
        wanted = files.parse(before) if before else files.of_nothing()
        if check:
            return apply(wanted, check=True)
        # The note comes first: whatever happens next, the next run has to say that it was not asked for.
        _leave_note()
        with contextlib.suppress(OSError):
            state.set_active(waiting.generation)
        # A generation is made of what the files say, never of what strangers had in the kernel.
        result = apply_locked(wanted, keep=before == files_before)
        files.put(directory, files_before)
        state.forget_pending()
        if not state.note():
            _leave_note()  # there may be room for it now
        return result


def _leave_note() -> None:
    with contextlib.suppress(OSError):  # a full disk is no reason to leave the change in force
        state.set_note(_UNCONFIRMED)


def _files_before(waiting: state.Pending) -> Files:
    """What the node's files said before the change that waits; nothing where there were none of ours.

    Only a node that has lost its generations has them from the kernel, and never rules of strangers.
    """
    with contextlib.suppress(OSError):
        kept = state.contents(waiting.generation)
        if state.intact(waiting.generation, kept):
            return kept
    ours = all(layer.ours(files.own(waiting.contents, layer)) for layer in registry.layers())
    return waiting.contents if files.parse(waiting.contents).layers and ours else {}


def roll_back(directory: str = files.DIRECTORY, *, check: bool = False) -> Result:
    """Put back the generation before this one, in the kernel and in ``directory``: the next boot does not undo it.

    Raises NodeError where there is none, or somebody has edited it.
    """
    with locks.one_apply():
        now = state.active()
        target = state.previous(now)
        if not target:
            raise NodeError("there is no earlier generation to go back to")
        before = state.contents(target)
        if not state.intact(target, before):
            raise NodeError(f"generation {target} is not what was kept: somebody has edited it")
        if check:
            return apply(files.parse(before), check=True)
        state.set_active(target)
        try:
            result = apply_locked(files.parse(before))
        except NodeError:
            state.set_active(now)
            raise
        files.put(directory, before)
        return result
