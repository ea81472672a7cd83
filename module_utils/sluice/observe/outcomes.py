"""What may become of a packet: how its way ends, how likely that is, and which rules it met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

ENDPOINT, REJECT, DROP, PASS = "endpoint", "reject", "drop", "pass"
"""It is sent to an endpoint; refused; dropped; or goes on with the destination that it came with."""


class Step(NamedTuple):
    """A rule that did something to the packet, and ``why`` it did.

    ``skipped``: for each reason why the rules before it in its chain did nothing, how many they were.
    """

    table: str
    chain: str
    rule: str
    why: str
    skipped: Mapping[str, int] = {}


class Outcome(NamedTuple):
    """``endpoint``: address and port to which the packet is sent, else empty. ``masquerade``: by the node's address."""

    verdict: str
    endpoint: str
    probability: Fraction
    masquerade: bool
    path: tuple[Step, ...]

    def fields(self) -> dict[str, Any]:
        """As ``sluice trace --json`` prints it."""
        return {
            **self._asdict(),
            "endpoint": self.endpoint or None,
            "probability": str(self.probability),
            "path": [{**step._asdict(), "skipped": dict(step.skipped)} for step in self.path],
        }


def gathered(found: Iterable[Outcome]) -> list[Outcome]:
    """One outcome for all that end alike, with the way that is the likeliest; the likeliest comes first."""
    alike: dict[tuple[str, str, bool], Outcome] = {}
    likeliest: dict[tuple[str, str, bool], Fraction] = {}
    for each in found:
        key = each.verdict, each.endpoint, each.masquerade
        other = alike.get(key)
        if other is None:
            alike[key], likeliest[key] = each, each.probability
            continue
        path = other.path
        if each.probability > likeliest[key]:
            path, likeliest[key] = each.path, each.probability
        alike[key] = other._replace(probability=other.probability + each.probability, path=path)
    return sorted(alike.values(), key=lambda each: (-each.probability, each.verdict, each.endpoint))
