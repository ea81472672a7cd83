"""Whether endpoints got the shares that rules give them: chi-square over new connections, or why that is not asked.

Counts belong together where the same rules made them: of several nodes, those with the same endpoints and shares are
added up. What differs is a stratum of its own, whose statistic and degrees of freedom are added.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Union

from .. import chance

ONE, STICKY, MIXED, SCHEDULED, UNCOUNTED, FEW = "one", "sticky", "mixed", "scheduled", "uncounted", "few"
"""Why there is no p-value: at most one endpoint; session affinity, so that connections are not drawn one by one; two
traffic policies share the endpoints out; the scheduler does not share by weight; nothing counts; too few connections
(``chance.FEWEST``)."""

Verdict = Union[float, str]
"""A p-value, or why there is none."""

_BY_WEIGHT = ("", "rr", "wrr")
"""Schedulers that share by weight, whatever connections do; the others look at who asks, or what is open."""

_CLUSTER, _LOCAL = "cluster", "local"

Sample = tuple[Sequence[Mapping[str, Any]], Mapping[str, int]]
"""The groups of a node's row (``node/report_rows.py``), and how many connections each endpoint has got there."""


def verdict(samples: Iterable[Sample]) -> Verdict:
    """That of a service port, over nodes."""
    strata: dict[tuple[tuple[str, str], ...], list[int]] = {}
    reasons: list[str] = []
    for groups, counts in samples:
        for group in groups:
            shares = listed(group)
            why = _why_not(group, shares)
            if why:
                reasons.append(why)
            elif not counts:
                reasons.append(UNCOUNTED)
            else:
                sums = strata.setdefault(tuple(shares), [0] * len(shares))
                for at, (text, _share) in enumerate(shares):
                    sums[at] += counts.get(text, 0)
    if not strata:
        return reasons[0] if reasons else ONE
    return _judged(strata)


def listed(group: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The endpoints that a group chooses from, each with its share; those that get nothing are left out."""
    which = _LOCAL if all(group["chooses"].values()) and group["chooses"] else _CLUSTER
    return [(text, share) for text, share, _chain in group[which] if share != "0"]


def _why_not(group: Mapping[str, Any], shares: Sequence[tuple[str, str]]) -> str:
    if len(shares) < 2:
        return ONE
    if group["affinity"]:
        return STICKY
    parts = [[each[:2] for each in group[part]] for part in (_CLUSTER, _LOCAL)]
    if len(set(group["chooses"].values())) > 1 and parts[0] != parts[1]:
        return MIXED
    return "" if group["scheduler"] in _BY_WEIGHT else SCHEDULED


@functools.lru_cache(maxsize=4096)
def _number(share: str) -> float:
    return float(Fraction(share))


def _judged(strata: Mapping[tuple[tuple[str, str], ...], Sequence[int]]) -> Verdict:
    """Strata that have too few are left out while others have enough."""
    statistic, degrees = 0.0, 0
    for shares, counts in strata.items():
        weights = [_number(share) for _text, share in shares]
        if min(chance.expected(counts, weights)) >= chance.FEWEST:
            statistic += chance.statistic(counts, weights)
            degrees += len(counts) - 1
    return chance.survival(statistic, degrees) if degrees else FEW
