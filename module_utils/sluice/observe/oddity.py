"""Something in a node's rules that nobody wants there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Oddity(NamedTuple):
    """``what`` it is, ``where``; what it does to packets (``effect``), and what to do (``remedy``).

    ``hurts``: packets of a Service go astray for it, as far as the rules tell.
    """

    what: str
    where: str
    effect: str
    remedy: str
    hurts: bool


def few(texts: Sequence[str], most: int = 3) -> str:
    """The first ones, and how many there are besides."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
