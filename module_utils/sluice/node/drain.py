"""An operator takes endpoints out of service on this node, or the node itself, and brings them back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from ..outages import Outages
from ..system import journal, locks
from ..system.tools import NodeError
from . import converge, files, outage, state
from .converge import Converged
from .files import Wanted
from .origin import SOMEBODY, Origin
from .result import Result


def drain(found: Iterable[str], *, check: bool = False, origin: Origin = SOMEBODY) -> Result:
    """No new connection goes to endpoints at these addresses until they are undrained, also after a reboot.

    Established ones go on. Raises NodeError where no endpoint of the node's catalogue has such an address: it is taken
    for mistyped.
    """
    return _change(frozenset(found), frozenset(), check=check, origin=origin)


def undrain(found: Iterable[str], *, check: bool = False, origin: Origin = SOMEBODY) -> Result:
    """Endpoints at these addresses serve again, as the catalogue says. Raises NodeError."""
    return _change(frozenset(), frozenset(found), check=check, origin=origin)


def node(*, drained: bool, check: bool = False, origin: Origin = SOMEBODY) -> bool:
    """Have routers that ask for this node's health leave it, or come back; its rules stay. Whether that is a change.

    Raises NodeError.
    """
    changed = outage.set_node_drained(drained=drained, check=check)
    if changed and not check:
        journal.say(f"{'drain' if drained else 'undrain'} of the node by {origin.text}")
    return changed


def _change(drained: frozenset[str], undrained: frozenset[str], *, check: bool, origin: Origin) -> Result:
    if check:
        before = outage.current()
        predicted = converge.compare(_in_force(), _after(before, drained, undrained))
        return _with_warning(predicted, undrained - before.drained)
    with locks.one_apply():
        before = outage.current()
        after = _after(before, drained, undrained)
        with state.keeping_errors():
            done = _bring(_in_force(), before, after, origin)
    return _with_warning(done.finish(), undrained - before.drained)


def _with_warning(done: Result, idle: Iterable[str]) -> Result:
    lines = [f"{address} was not drained" for address in sorted(idle)]
    return done._replace(warnings=(*lines, *done.warnings))


def _bring(wanted: Wanted, before: Outages, after: Outages, origin: Origin) -> Converged:
    # Written first: whatever ends this, the next apply does it.
    outage.set_drained(after.drained)
    try:
        return converge.converge(wanted, origin=origin)
    except BaseException:
        with contextlib.suppress(NodeError):  # what speaks against the change is what matters
            outage.set_drained(before.drained)
        raise


def _after(before: Outages, drained: frozenset[str], undrained: frozenset[str]) -> Outages:
    unknown = sorted(drained - before.drained - _known()) if drained else ()
    if unknown:
        raise NodeError(f"not an endpoint of this node's catalogue: {', '.join(unknown)}; nothing was changed")
    return before._replace(drained=before.drained - undrained | drained)


def _in_force() -> Wanted:
    """What the node was brought to last: its files in /etc/sluice may be those of a change that is to come."""
    last = state.last()
    if not last.files:
        raise NodeError("nothing of Sluice is in force on this node")
    return files.parse(last.files, f"generation {last.generation}")


def _known() -> set[str]:
    from ..catalogue import compiled

    try:
        catalogue = compiled.load(state.last().files.get(files.CATALOGUE_FILE, ""))
    except ValueError as error:
        raise NodeError(f"{files.CATALOGUE_FILE}: {error}") from None
    return {
        endpoint.address for service in catalogue.services for piece in service.slices for endpoint in piece.endpoints
    }
