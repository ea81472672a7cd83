"""What a layer could not remove yet because connections needed it: the node's own timer sees to it.

An apply that leaves something starts the timer, and it ends with the last, across runs of Ansible.
"""

from __future__ import annotations

from ..backends import registry
from ..system import linux, locks
from . import state, timer

UNIT = "sluice-drain"
SECONDS = 5
"""Between two looks: as long may something stay whose connections have ended."""


def waits() -> bool:
    """Whether something waits for its connections."""
    return bool(state.waiting(registry.layers()))


def begin(*, waited: bool) -> None:
    """Remove what need not wait, right after an apply under its lock; the node's timer sees to the rest.

    ``waited``: something waited before that apply, so that the timer may be running.
    """
    if waits() and _settle():
        timer.repeat(UNIT, SECONDS, state.waiting(registry.layers()), "drain")
    elif waited:
        timer.end(UNIT)


def run(warnings: list[str] | None = None) -> bool:
    """Remove what need not wait any more. Returns whether something is left; the timer ends with the last.

    ``warnings`` get a line for each thing that is damaged, and was set aside.
    """
    with locks.one_apply():
        damaged = state.mend(registry.layers())
        left = _settle()
    if warnings is not None:
        warnings += damaged
    if not left:
        timer.end(UNIT)
    return left


def _settle() -> bool:
    for layer in registry.layers():
        if state.waiting([layer]):
            state.remember(layer, layer.settle(state.memory(layer, {}), linux.uptime()))
    return waits()
