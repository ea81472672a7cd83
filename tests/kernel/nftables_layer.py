"""The layer of nftables without the rest of an apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sluice.backends.interface import Amount, Files, Memory, Phase
from sluice.backends.nftables.layer import LAYER


class Brought(NamedTuple):
    """What an apply of this layer alone did, and what it keeps for the next."""

    things: tuple[str, ...]
    amount: Amount
    files: Files
    memory: Memory


SETTINGS = {"takeover": False}
FIRST = Brought((), Amount(), {}, Memory())


def bring(wanted: Files, before: Brought = FIRST, settings: Mapping[str, Any] = SETTINGS) -> Brought:
    """Bring the kernel to ``wanted``, as apply does."""
    with LAYER.look(wanted, before.files, before.memory, settings, check=False) as look:
        things = tuple(f"{change.verb} {change.thing}" for change in look.changes)
        for phase in Phase:
            look.send(phase)
        return Brought(things, look.amount, wanted, look.memory())
