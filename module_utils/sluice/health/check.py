"""A check: one question to one endpoint, whoever wants to know; and how many of them a node may be asked to do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ..probes import EXEC, Probe, probe

TLS_MOST = 200
"""Handshakes a second: a full one takes half a millisecond of a processor."""

EXEC_MOST = 50
"""Programs a second: to start one takes 1.5 to 3 milliseconds, in which nothing else is asked."""


class Check(NamedTuple):
    """What is asked: ``question`` (``Probe.question``) at a canonical address and port. It is its own key."""

    address: str
    port: int
    question: str


def probe_of(question: str) -> Probe:
    """The probe that a question is the text of. Raises ValueError."""
    return probe(json.loads(question))


def too_much(checks: Iterable[Check], most: int) -> list[str]:
    """What there is more of than a node can do well, a line each, with the sum; ``most``: checks a second in all.

    That is while all endpoints are well. Raises ValueError where a question is none.
    """
    counts = Counter(check.question for check in checks)
    probes = {question: probe_of(question) for question in counts}
    rates = [(probes[question], count * 1000 / probes[question].period) for question, count in counts.items()]
    caps = (
        (most, "health checks", [a_second for _probe, a_second in rates]),
        (TLS_MOST, "health checks by HTTPS", [a_second for asked, a_second in rates if asked.scheme == "HTTPS"]),
        (EXEC_MOST, "health checks by a program", [a_second for asked, a_second in rates if asked.kind == EXEC]),
    )
    return [
        f"{sum(parts):.1f} {what} a second, more than {cap}: longer periods or fewer endpoints are needed"
        for cap, what, parts in caps
        if sum(parts) > cap + 1e-6
    ]
