"""Bring a node's kernel to what files say, under the node's lock: the one way, whoever asks (module apply).

It looks at every layer, has the looks send their changes phase by phase, and keeps what the next one needs.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..backends import registry
from ..backends.interface import Amount, Files, KernelChanged, Layer, Look, Memory, Phase
from ..outages import Outages
from ..system import journal, owned_files
from ..system.threads import beside
from ..system.tools import NodeError
from . import difference, effective, files, flows, outage, pending, rivals, settling, state, takeover
from .files import Wanted
from .origin import ROLLBACK, SOMEBODY, TIMER, Origin
from .result import Result
from .state import Last, Programmed

ATTEMPTS = 3
"""How often it starts again because somebody else changed the kernel between its look and its change."""

Looks = Mapping[Layer, Look]
Memories = Mapping[Layer, Memory]


class Converged(NamedTuple):
    """The kernel is as ``wanted``. UDP flows of the files ``before`` may be left: they go when the lock is free again.

    ``name``: the apply's, for the mark that flows are left. For the line in the journal ``origin``: who asked,
    ``generation``: which one is in force now (None: nothing has changed), ``services``: what is different by Service.
    """

    wanted: Wanted
    before: Sequence[Files]
    name: str
    result: Result
    origin: Origin
    generation: int | None = None
    services: str = ""

    def finish(self) -> Result:
        """Delete the flows that are left, and say in the journal what was changed.

        Call it without the lock: nothing else has to wait for that.
        """
        if self.generation is not None:
            journal.say(self._line())
        warnings: list[str] = []
        deleted = flows.forget(self.before, self.wanted, warnings) if self.before else 0
        with contextlib.suppress(OSError):
            state.finish(self.name)
        return self.result._replace(flows=deleted, warnings=(*self.result.warnings, *warnings))

    def _line(self) -> str:
        changes = self.result.changes
        rules = f"+{sum(len(each.added) for each in changes)} -{sum(len(each.removed) for each in changes)} rules"
        backend = self.wanted.settings["backend"] or "nothing of Sluice"
        outages = difference.several(difference.outages(self.result.out_before, self.result.out))
        what = ", ".join(part for part in (backend, self.services, *outages, rules) if part)
        waits = ", to be confirmed" if self.result.pending else ""
        return f"{self.origin.act}: generation {self.generation}: {what}{waits}"


def compare(wanted: Wanted, outages: Outages | None = None) -> Result:
    """What it would change to bring the kernel to ``wanted``, if these ``outages`` were. Raises NodeError."""
    warnings = [*state.mend(registry.layers(), check=True), *outage.mend(check=True), *pending.mend(check=True)]
    wanted, unheeded = effective.effective(wanted, outage.current() if outages is None else outages)
    warnings += unheeded
    last = state.last()
    with _looking(wanted, last, check=True) as looks:
        warnings += _permitted(wanted, looks, SOMEBODY)
        return _result(looks, last, wanted, warnings)


def converge(wanted: Wanted, confirm: int = 0, *, origin: Origin = SOMEBODY, keep: bool = True) -> Converged:
    """Bring the kernel to ``wanted``, for ``origin``. Without ``keep`` no generation is made of it.

    ``confirm``: seconds until the node takes the change back unless it is confirmed; 0: it stays at once. Raises
    NodeError: what was asked cannot be done, and why; the kernel then holds what it held, or the part of the change
    that refers to nothing yet.
    """
    notes = _Notes(_mended())
    wanted, unheeded = effective.effective(wanted, outage.current())
    notes += unheeded
    waited = settling.waits()
    was = state.active()
    name = f"{time.time_ns():x}"
    # An apply that was killed may have left flows, of the generation in force or of the one before.
    unfinished = []
    if state.unfinished():
        unfinished = _generations_in_force()
        with notes.of_what_cannot_be_kept():
            state.begin(name)  # this one does what that one has left
    for attempt in range(1, ATTEMPTS + 1):
        last = state.last()
        if last.generation and not last.files:
            notes.append(state.set_generation_aside(last.generation))
        try:
            with _looking(wanted, last, check=False) as looks:
                notes += (line for line in _permitted(wanted, looks, origin) if line not in notes)
                changes, udp = _changes(looks), any(look.udp for look in looks.values())
                before = _before(looks, wanted, last) if changes and (confirm or udp) else {}
                if changes:
                    if confirm:
                        pending.arm(before, state.active(), confirm)
                    with notes.of_what_cannot_be_kept():
                        state.forget_record()
                        state.begin(name)
                # Written while the kernel is changed: both take their time.
                preparing = functools.partial(_prepare, wanted, last, origin, keep=keep)
                news = changes or last.files != wanted.contents
                comparing = functools.partial(services, last.files, wanted.contents if news else {})
                with beside(preparing) as prepared, beside(comparing) as different:
                    memories = _send(looks, notes)
            break
        except KernelChanged as error:
            # Somebody else was quicker: look again. The record may have been what was wrong.
            with notes.of_what_cannot_be_kept():
                state.forget_record()
            if attempt == ATTEMPTS:
                raise NodeError(str(error)) from None
    with notes.of_what_cannot_be_kept():
        settling.begin(waited=waited)
    with notes.of_what_cannot_be_kept():
        _keep(prepared(), memories, last, origin, wanted.without, changes=changes)
    with notes.of_what_cannot_be_kept():
        state.forget_error()
    # A change of an earlier run may still wait: this run is as good to confirm it.
    result = _result(looks, last, wanted, notes, pending=bool(confirm) and pending.exists())
    had = last.programmed if before == last.files else before
    left = [each for each in (had if udp else {}, *unfinished) if each]
    now = state.active()
    return Converged(wanted, left, name, result, origin, now if changes or now != was else None, different())


class _Notes(list[str]):
    """Warnings, each of them once."""

    @contextlib.contextmanager
    def of_what_cannot_be_kept(self) -> Iterator[None]:
        """What a node keeps is a help: without it the next apply is slower, not wrong."""
        try:
            yield
        except OSError as error:
            line = f"{state.ROOT} cannot be written ({error.strerror}): the next apply has to read all rules"
            if line not in self:
                self.append(line)


def _mended() -> list[str]:
    """Have what is kept in order, as far as it can be; a line for each thing that was not."""
    with contextlib.suppress(OSError):
        state.protect()
        owned_files.protect(files.DIRECTORY)
    return [*state.mend(registry.layers()), *outage.mend(), *pending.mend()]


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
                before = files.own(last.programmed, layer)
                look = layer.look(wanted.of(layer), before, memory, wanted.settings, check=check)
                looks[layer] = locked.enter_context(look)
        yield looks


def _permitted(wanted: Wanted, looks: Looks, origin: Origin) -> list[str]:
    """Warnings of what other Service proxies have left. Raises NodeError where they keep Sluice from this node.

    Who runs is only asked where something is going to change, or was left: else nobody undoes anything.
    """
    left = [leftover for look in looks.values() for leftover in look.leftovers]
    faults = takeover.faults(left, wanted.settings) if wanted.layers else []
    # Where Sluice goes, what a kube-proxy has in its own name stays. What cuts a node off goes whoever runs.
    is_back = origin.by in (ROLLBACK, TIMER)
    if not is_back and ((left and wanted.layers) or (_changes(looks) and not left)):
        faults += rivals.running(by_port=bool(left))
    if faults:
        raise NodeError("; ".join(faults))
    return rivals.left() if wanted.layers else takeover.stays(left)


def _send(looks: Looks, notes: _Notes) -> Memories:
    """Send the changes of all layers, phase by phase; what the layers remember then.

    What stands before the first step has to be true wherever this is killed.
    """
    _remember({layer: look.memory() for layer, look in looks.items()}, notes)
    for phase in Phase:
        for look in looks.values():
            look.send(phase)
    memories = {layer: look.memory() for layer, look in looks.items()}
    _remember(memories, notes)
    return memories


def _remember(memories: Memories, notes: _Notes) -> None:
    for layer, memory in memories.items():
        with notes.of_what_cannot_be_kept():
            state.remember(layer, memory)


def _before(looks: Looks, wanted: Wanted, last: Last) -> Files:
    """What of ours the kernel held before the change, as files that would bring it back.

    Those of the last apply where they are what it held; else what was found, also what ``wanted`` takes over, for the
    first backend whose layers all hold something.
    """
    if last.files and all(look.holds(files.own(last.programmed, layer)) for layer, look in looks.items()):
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
    return files.sealed({files.SETTINGS_FILE: json.dumps(settings), **contents})


def _generations_in_force() -> list[Files]:
    """The files of the generation that is said to be in force, and of the one before it."""
    now = state.active()
    return [state.contents(now), state.contents(state.previous(now))]


class _Prepared(NamedTuple):
    """The generation that has the wanted files, with their digest; ``new``: it is written, but not yet in force."""

    generation: int
    digest: str
    new: bool


def services(before: Files, after: Files) -> str:
    """What is different by Service, ``""`` where that cannot be told."""
    if files.CATALOGUE_FILE not in after:
        return ""
    from ..catalogue import counts  # an apply that changes nothing starts faster without

    return counts.difference(before.get(files.CATALOGUE_FILE), after[files.CATALOGUE_FILE])


def _prepare(wanted: Wanted, last: Last, origin: Origin, *, keep: bool) -> _Prepared | None:
    """Write the generation that is to be kept; None where nothing is, as where there never was any. Raises OSError."""
    generation = state.active()
    if not keep or not (generation or wanted.layers):
        return None
    if last.generation == generation and last.files == wanted.contents:
        return _Prepared(generation, last.digest, new=False)
    digest = state.digest(wanted.contents, wanted.digests)
    # That of the last apply is known already, and is another one.
    if last.generation != generation and state.whole(generation) == wanted.contents:
        return _Prepared(generation, digest, new=False)
    return _Prepared(state.prepare(wanted.contents, digest, generation, origin), digest, new=True)


def _keep(
    prepared: _Prepared | None,
    memories: Memories,
    last: Last,
    origin: Origin,
    without: Programmed | None,
    *,
    changes: bool,
) -> None:
    """Keep a generation, and what the kernel holds now. Raises OSError."""
    if prepared is None:
        return
    if without != last.without:
        state.set_programmed(without)
    if prepared.new:
        state.keep(prepared.generation, origin)
    elif changes:
        state.set_active(prepared.generation, origin)
    records = {layer.name: memory.record for layer, memory in memories.items() if memory.record}
    same = (last.generation, last.records, last.without) == (prepared.generation, records, without)
    if records and (changes or not same):
        state.set_record(prepared.generation, prepared.digest, records, without)


def _changes(looks: Looks) -> bool:
    return any(look.changes for look in looks.values())


def _result(looks: Looks, last: Last, wanted: Wanted, warnings: Sequence[str], *, pending: bool = False) -> Result:
    return Result(
        changes=tuple(change for look in looks.values() for change in look.changes),
        amount=Amount(*map(sum, zip(*(look.amount for look in looks.values())))),
        details={name: value for layer in wanted.layers for name, value in looks[layer].details.items()},
        warnings=(*(warning for look in looks.values() for warning in look.warnings), *warnings),
        pending=pending,
        before=last.files,
        wanted=wanted.contents,
        out_before=last.out,
        out=wanted.out,
    )
