"""Bring a node to what its files say. The one way that Ansible, the boot unit and a person use."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..system import locks
from ..system.tools import NodeError
from . import confirmation, converge, files, pending, state
from .files import Wanted
from .origin import BOOT, SOMEBODY, Origin
from .result import Result

Load = Callable[[], Wanted]
"""Says what is wanted, when the node's lock is held: what it reads may be taken back before."""


def apply(
    load: Load,
    *,
    check: bool = False,
    confirm: int = 0,
    directory: str = files.DIRECTORY,
    origin: Origin = SOMEBODY,
) -> Result:
    """Bring the kernel to what ``load`` gives; with ``check``, only say what that would change.

    ``origin`` asks. ``confirm``: seconds until the node takes the change back unless it is confirmed; 0: it stays at
    once. A change before this one whose time is over is taken back first, in ``directory`` as well. Raises NodeError:
    what was asked cannot be done, and why; the kernel then holds what it held, or the part of the change that refers to
    nothing yet.
    """
    if check:
        return converge.compare(load())
    with state.keeping_errors(), locks.one_apply():
        overdue = confirmation.overdue(directory)
        done = converge.converge(load(), confirm, origin=origin)
        waiting = pending.waiting()
    taken_back = overdue.finish().warnings if overdue else ()
    result = done.finish()
    if waiting and result.changed and not confirm:
        line = (
            f"a change before this one waits for its confirmation until {waiting.time}: unless sluice confirm keeps "
            "them, both are taken back then"
        )
        result = result._replace(warnings=(*result.warnings, line))
    if overdue:
        line = "a change before this one was not confirmed in time: it was taken back first"
        result = result._replace(warnings=(line, *taken_back, *result.warnings))
    return result


def remove(*, check: bool = False, directory: str = "", origin: Origin = SOMEBODY) -> Result:
    """Take everything of Sluice out of the kernel, whichever layer holds it. Other people's rules stay.

    A change that waits for its confirmation is not taken back any more. ``directory``: one whose files go as well, so
    that the node does not repair what they say. Raises NodeError where nothing may be removed; then they stay.
    """
    if check:
        return apply(files.of_nothing, check=True, origin=origin)
    if directory:
        converge.compare(files.of_nothing())  # before a file goes: may it be removed at all?

    def load() -> Wanted:
        if directory:
            files.put(directory, {})  # nobody repairs anything meanwhile: the lock is held
        return files.of_nothing()

    result = apply(load, origin=origin)
    confirmation.give_up()
    return result


@state.keeping_errors()
def boot(directory: str = files.DIRECTORY) -> Result:
    """Give a node that starts its rules: those of ``directory``, but for a change that waited when it went down.

    Where the files are not whole, the last generation that is. Raises NodeError where there is none either.
    """
    warnings: list[str] = []
    try:
        warnings += confirmation.take_back(directory).warnings
    except confirmation.NotWrittenDownError as error:
        return Result(warnings=(str(error),))  # the kernel has its rules; the files would bring back the change
    except NodeError as error:
        warnings.append(f"a change that waited for its confirmation stays: {error}")
    if not os.path.exists(os.path.join(directory, files.SETTINGS_FILE)):
        return Result(warnings=tuple(warnings))  # there was nothing before the change
    try:
        wanted = files.load(directory)
    except NodeError as error:
        last = state.newest_whole()
        if last is None:
            raise
        warnings.append(f"{error}; generation {last.generation} is applied instead")
        wanted = files.parse(last.files)
    with locks.one_apply():
        # Also where the change could not be taken back: rules are what matters now.
        done = converge.converge(wanted, origin=Origin(BOOT))
    result = done.finish()
    return result._replace(warnings=(*warnings, *result.warnings))
