"""What becomes of a change that waits: somebody confirms it over a new connection, or the node takes it back."""

from __future__ import annotations

import contextlib

from ..backends import registry
from ..backends.interface import Files
from ..system import journal, linux, locks
from ..system.tools import NodeError
from . import converge, files, pending, state, timer
from .converge import Converged
from .origin import ROLLBACK, SOMEBODY, TIMER, Origin
from .pending import Pending
from .result import Result

_LATE, _BY_HAND = "it was not confirmed in time", "somebody took it back before it was confirmed"


class NotWrittenDownError(NodeError):
    """The kernel holds again what it held before the change, but that could not be written down."""


def confirm(origin: Origin = SOMEBODY) -> bool:
    """The change that waits is fine, says ``origin``. Returns whether one waited.

    Raises NodeError where it is too late.
    """
    with locks.one_apply():
        waiting = pending.waiting()
        if waiting is None:
            damaged = pending.mend()
            if damaged:
                raise NodeError(damaged[0])
            note = state.note()
            if note:
                raise NodeError(f"the change was taken back at {note['time']}: {note['reason']}")
            return False
        if waiting.overdue:
            raise NodeError(f"too late: the change had to be confirmed by {waiting.time}, and is taken back")
        pending.forget()  # may fail; then the timer is still there
        timer.disarm(waiting.timer)
        state.forget_note()
        generation = state.active()
    journal.say(f"confirm by {origin.text}: generation {generation}")
    return True


def take_back(
    directory: str = files.DIRECTORY,
    *,
    change: str = "",
    check: bool = False,
    origin: Origin = SOMEBODY,
) -> Result:
    """Take back the change that waits for its confirmation; with ``change``, only if it is the one of that name.

    ``origin`` asks, or it is the timer where the time is over. The kernel gets what it held before, the files in
    ``directory`` what they said before. Raises NodeError.
    """
    if check:
        waiting = pending.waiting()
        return converge.compare(_before(waiting)[0]) if waiting else Result()
    with state.keeping_errors(), locks.one_apply():
        waiting = pending.waiting()
        if waiting is None:
            damaged = pending.mend()
            return Result(warnings=tuple(damaged))
        if change not in ("", waiting.change):
            return Result()  # it is part of a later change, which waits for longer
        # The timer names its change.
        late = bool(change) or waiting.overdue
        done = _take_back(waiting, directory, Origin(TIMER) if late else origin._replace(by=ROLLBACK))
    return done.finish()


def give_up() -> None:
    """Wait no longer for what was removed meanwhile."""
    waiting = pending.waiting()
    if waiting:
        with contextlib.suppress(OSError):
            pending.forget()
        timer.disarm(waiting.timer)


def overdue(directory: str) -> Converged | None:
    """Take back a change whose time is over, under the node's lock; None where there is none.

    Whoever comes to change the node does that first: the timer may have to wait for the same lock, or be dead. Raises
    NodeError.
    """
    waiting = pending.waiting()
    return _take_back(waiting, directory, Origin(TIMER)) if waiting and waiting.overdue else None


def _take_back(waiting: Pending, directory: str, origin: Origin) -> Converged:
    reason = _LATE if origin.by == TIMER else _BY_HAND
    wanted, files_before = _before(waiting)
    change = state.last().files
    with contextlib.suppress(OSError):
        state.set_active(waiting.generation, origin)
    # A generation is made of what the files say, never of what strangers had in the kernel.
    done = converge.converge(wanted, origin=origin, keep=wanted.contents == files_before)
    services = converge.services(change, files_before)
    done = done._replace(services=services, result=done.result._replace(before=change))
    try:
        files.put(directory, files_before)
        # Not before it is true; a full disk is no reason to go on waiting.
        with contextlib.suppress(OSError):
            state.set_note(reason)
        pending.forget()
    except OSError as error:
        raise NotWrittenDownError(
            f"the rules from before the unconfirmed change are back, but {error.filename}: {error.strerror}"
        ) from None
    if not state.note():
        with contextlib.suppress(OSError):  # there may be room for it now
            state.set_note(reason)
    timer.disarm(waiting.timer)
    if waiting.contents:
        return done
    line = f"what was kept of the time before the change was damaged: generation {waiting.generation} is put back"
    return done._replace(result=done.result._replace(warnings=(*done.result.warnings, line)))


def _before(waiting: Pending) -> tuple[files.Wanted, Files]:
    """What the kernel gets back, and what the node's files said."""
    files_before = _files_before(waiting)
    # Another boot, another kernel: what strangers had in that one went with it.
    kernel_before = waiting.contents if waiting.place == linux.place() else {}
    before = kernel_before or files_before
    return files.parse(before) if before else files.of_nothing(), files_before


def _files_before(waiting: Pending) -> Files:
    """What the node's files said before the change that waits; nothing where there were none of ours.

    Only a node that has lost its generations has them from the kernel, and never rules of strangers.
    """
    kept = state.whole(waiting.generation)
    if kept:
        return kept
    ours = all(layer.ours(files.own(waiting.contents, layer)) for layer in registry.layers())
    return waiting.contents if files.parse(waiting.contents).layers and ours else {}
