"""What a layer could not remove yet because connections needed it: the node's own timer sees to it.

An apply that leaves something starts the timer, and it ends with the last, across runs of Ansible.
"""

from __future__ import annotations

from ..backends import registry
from ..system import journal, linux, locks
from . import kept, state, timer

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
    _settle()
    if waits():
        timer.repeat(UNIT, SECONDS, state.waiting(registry.layers()), "drain")
    elif waited:
        timer.end(UNIT)


def run(warnings: list[str] | None = None) -> bool:
    """Remove what need not wait any more. Returns whether something is left; the timer ends with the last.

    ``warnings`` get a line for each thing that is damaged, and was set aside.
    """
    with locks.one_apply():
        damaged = state.mend(registry.layers())
        removed = _settle()
        left = waits()
    if removed:
        rest = "connections are left" if left else "nothing is left to drain"
        journal.say(f"drain: {', '.join(removed)}: what has no connections any more was removed, {rest}")
    if warnings is not None:
        warnings += damaged
    if not left:
        timer.end(UNIT)
    return left


def _settle() -> list[str]:
    """The names of the layers that removed something."""
    removed = []
    for layer in registry.layers():
        if state.waiting([layer]):
            memory = state.memory(layer, {})
            left = layer.settle(memory, linux.uptime())
            state.remember(layer, left)
            if kept.text(left.lasting) != kept.text(memory.lasting):
                removed.append(layer.name)
    return removed
