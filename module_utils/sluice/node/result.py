"""What an apply changed, and how it is reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..backends.interface import Amount, Change
from . import difference


class Result(NamedTuple):
    """What an apply changed, or in check mode would change.

    ``amount``: how much was sent to the kernel; ``details``: what layers say besides, such as iptables' ``variant``;
    ``flows``: UDP flows that were deleted; ``pending``: the change waits for its confirmation. ``before`` are the files
    that were in force, none where nothing was; ``wanted`` those that are now. ``out_before`` and ``out``: what was out,
    and is now, a line each. ``headline``: what a rollback goes back to.
    """

    changes: tuple[Change, ...] = ()
    amount: Amount = Amount()
    details: Mapping[str, str] = {}
    flows: int = 0
    warnings: tuple[str, ...] = ()
    pending: bool = False
    before: Mapping[str, str] = {}
    wanted: Mapping[str, str] = {}
    out_before: Sequence[str] = ()
    out: Sequence[str] = ()
    headline: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def counts(self) -> dict[str, int]:
        """Things added, modified and removed; lines and bytes sent to the kernel; UDP flows deleted."""
        verbs = [change.verb for change in self.changes]
        return {
            "added": verbs.count("add"),
            "modified": verbs.count("change"),
            "removed": verbs.count("remove"),
            "lines": self.amount.lines,
            "bytes": self.amount.bytes,
            "flows": self.flows,
        }

    def services(self) -> list[str]:
        """What changed by Service, a line each."""
        return difference.services(self.before, self.wanted)

    def reasons(self) -> list[str]:
        """What a person wants to know before any rule: another backend, the changes by Service, or that it is drift."""
        outages = difference.outages(self.out_before, self.out)
        return difference.lines(self.before, self.wanted, self.changes, outages)

    def diff(self) -> list[str]:
        """How the kernel differed: a line per thing, and below it its lines."""
        return list(lines(self.changes))

    def summary(self) -> str:
        """The last line of ``sluice apply``."""
        details = " ".join(f"{name}={count}" for name, count in self.counts().items())
        return f"changed={len(self.changes)} {details}" if self.changed else "changed=0"


def lines(changes: Iterable[Change]) -> Iterator[str]:
    """Changes as a person reads them: the thing, then what is removed with ``-`` and what is added with ``+``."""
    for change in changes:
        yield f"{change.verb} {change.thing}"
        yield from (f"  - {text}" for text in change.removed)
        yield from (f"  + {text}" for text in change.added)
