"""Bring a node's kernel to what its files say. The one way that Ansible, the boot unit and a person use.

An apply looks at every layer, has the looks send their changes phase by phase, and keeps what the next one needs.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..backends import registry
from ..backends.interface import Files, KernelChanged, Layer, Look, Memory, Phase
from ..system import locks
from ..system.threads import beside
from ..system.tools import NodeError
from . import confirmation, files, flows, settling, state
from .files import Wanted
from .result import Result
from .state import Last

ATTEMPTS = 3
"""How often an apply starts again because somebody else changed the kernel between its look and its change."""

Looks = Mapping[Layer, Look]
Memories = Mapping[Layer, Memory]


def apply(wanted: Wanted, *, check: bool = False, confirm: int = 0) -> Result:
    """Bring the kernel to what is ``wanted``; with ``check``, only say what that would change.

    ``confirm``: seconds until the node takes the change back unless it is confirmed; 0: it stays at once. Raises
    NodeError: what was asked cannot be done, and why; the kernel then holds what it held, or the part of the change
    that refers to nothing yet.
    """
    if check:
        with _looking(wanted, state.last(), check=True) as looks:
            return _result(looks)
    with locks.one_apply():
        return apply_locked(wanted, confirm)


def remove(*, check: bool = False) -> Result:
    """Take everything of Sluice out of the kernel, whichever layer holds it. Other people's rules stay."""
    return apply(files.of_nothing(), check=check)


def apply_locked(wanted: Wanted, confirm: int = 0, *, keep: bool = True) -> Result:
    """What ``apply`` does under the node's lock. Without ``keep`` no generation is made of what is ``wanted``."""
    waited = settling.waits()
    # An apply that was killed may have left flows of the generation that is still said to be in force.
    unfinished = _generation(state.active()) if state.unfinished() else {}
    for attempt in range(1, ATTEMPTS + 1):
        last = state.last()
        try:
            with _looking(wanted, last, check=False) as looks:
                changes, udp = _changes(looks), any(look.udp for look in looks.values())
                before = _before(looks, wanted, last) if changes and (confirm or udp) else {}
                if changes:
                    if confirm:
                        confirmation.arm(before, state.active(), confirm)
                    state.forget_record()
                    with contextlib.suppress(OSError):
                        state.begin()
                # Written while the kernel is changed: both take their time.
                with beside(functools.partial(_prepare, wanted, last, keep=keep)) as prepared:
                    memories = _send(looks)
            break
        except KernelChanged as error:
            # Somebody else was quicker: look again. The record may have been what was wrong.
            state.forget_record()
            if attempt == ATTEMPTS:
                raise NodeError(str(error)) from None
    settling.begin(waited=waited)
    warnings: list[str] = []
    deleted = flows.forget([before, unfinished], wanted, warnings) if udp or unfinished else 0
    try:
        _keep(prepared(), memories, last, changes=changes)
    except OSError as error:
        warnings.append(f"{error.filename or state.ROOT}: {error.strerror}: the next apply has to read all rules")
    state.finish()
    # A change of an earlier run may still wait: this run is as good to confirm it.
    return _result(looks, deleted, warnings, pending=bool(confirm) and state.waits())


@contextlib.contextmanager
def _looking(wanted: Wanted, last: Last, *, check: bool) -> Iterator[Looks]:
    """A look at every layer: those that are used first, so that what is added is there before what is removed goes.

    The layers' own locks are held until the end.
    """
    with contextlib.ExitStack() as locked:
        looks = {}
        for layer in dict.fromkeys((*wanted.layers, *registry.layers())):
            memory = state.memory(layer, last.records)
            with wanted.reading():
                look = layer.look(wanted.of(layer), files.own(last.files, layer), memory, wanted.settings, check=check)
                looks[layer] = locked.enter_context(look)
        yield looks


def _send(looks: Looks) -> Memories:
    """Send the changes of all layers, phase by phase; what the layers remember then.

    What stands before the first step has to be true wherever this is killed.
    """
    for layer, look in looks.items():
        state.remember(layer, look.memory())
    for phase in Phase:
        for look in looks.values():
            look.send(phase)
    memories = {layer: look.memory() for layer, look in looks.items()}
    for layer, memory in memories.items():
        state.remember(layer, memory)
    return memories


def _before(looks: Looks, wanted: Wanted, last: Last) -> Files:
    """What of ours the kernel held before the change, as files that would bring it back.

    Those of the last apply where they are what it held; else what was found, also what ``wanted`` takes over, for the
    first backend whose layers all hold something.
    """
    if last.files and all(look.holds(files.own(last.files, layer)) for layer, look in looks.items()):
        return last.files
    held = {layer: look.held() for layer, look in looks.items()}
    backends = (
        name for name, backend in registry.BACKENDS.items() if all(held[layer].files for layer in backend.layers)
    )
    settings = {**wanted.settings, "ip_families": [], "backend": next(backends, "")}
    contents: dict[str, str] = {}
    for each in held.values():
        settings.update(each.settings)
        contents.update(each.files)
    return {files.SETTINGS_FILE: json.dumps(settings), **contents}


def _generation(number: int) -> Files:
    """The files of a generation, none where it is not there."""
    try:
        return state.contents(number)
    except OSError:
        return {}


class _Prepared(NamedTuple):
    """The generation that has the wanted files, with their digest; ``new``: it is written, but not yet in force."""

    generation: int
    digest: str
    new: bool


def _prepare(wanted: Wanted, last: Last, *, keep: bool) -> _Prepared | None:
    """Write the generation that is to be kept; None where nothing is. Raises OSError."""
    if not keep:
        return None
    generation = state.active()
    if last.generation == generation and last.files == wanted.contents:
        return _Prepared(generation, last.digest, new=False)
    digest = state.digest(wanted.contents)
    if _generation(generation) == wanted.contents:
        return _Prepared(generation, digest, new=False)
    return _Prepared(state.prepare(wanted.contents, digest, generation), digest, new=True)


def _keep(prepared: _Prepared | None, memories: Memories, last: Last, *, changes: bool) -> None:
    """Keep a generation, and what the kernel holds now. Without it the next apply is slower, not wrong."""
    if prepared is None:
        return
    if prepared.new:
        state.keep(prepared.generation)
    records = {layer.name: memory.record for layer, memory in memories.items() if memory.record}
    same = (last.generation, last.records) == (prepared.generation, records)
    if records and (changes or not same):
        state.set_record(prepared.generation, prepared.digest, records)


def _changes(looks: Looks) -> bool:
    return any(look.changes for look in looks.values())


def _result(looks: Looks, deleted: int = 0, warnings: list[str] | None = None, *, pending: bool = False) -> Result:
    return Result(
        changes=tuple(change for look in looks.values() for change in look.changes),
        texts=tuple(text for look in looks.values() for text in look.texts),
        details={name: value for look in looks.values() for name, value in look.details.items()},
        flows=deleted,
        warnings=(*(warning for look in looks.values() for warning in look.warnings), *(warnings or ())),
        pending=pending,
    )
