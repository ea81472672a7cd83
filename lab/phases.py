"""An endpoint dies amid requests and comes back: what should be seen of it. Arithmetic and table, without I/O."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import typing

from report import Verdict

from sluice.chance import P_MINIMUM, uniform_p, weighted_p


class Request(typing.NamedTuple):
    """A request over a new connection: when it began and ended, in seconds, and who answered it, or what failed."""

    began: float
    ended: float
    name: str = ""
    failure: str = ""


@dataclasses.dataclass
class Times:
    """When what happened, in seconds of the same clock; infinite: not yet.

    ``out`` of the rules and ``back`` in them: when that was seen, some tenths of a second after it was so.
    """

    began: float
    cut: float = math.inf
    out: float = math.inf
    mended: float = math.inf
    back: float = math.inf


TITLES = ("all serve", "dead, in the rules", "out of the rules", "answers again", "back in the rules")
ALL, DEAD, OUT, MENDED, BACK = range(len(TITLES))


def phase(request: Request, times: Times) -> int:
    """Which one of TITLES a request counts for. What was under way at the cut may have met the dead one."""
    if request.ended < times.cut:
        return ALL
    for number, ends in ((DEAD, times.out), (OUT, times.mended), (MENDED, times.back)):
        if request.began < ends:
            return number
    return BACK


@dataclasses.dataclass
class Row:
    """A phase: from when, and what came of its requests."""

    phase: int
    since: float
    answers: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    failures: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def title(self) -> str:
        return TITLES[self.phase]

    @property
    def requests(self) -> int:
        return sum(self.answers.values()) + self.failed

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


def rows(requests: typing.Iterable[Request], times: Times) -> list[Row]:
    """All phases that there were, with ``since`` in seconds from the beginning."""
    begins = (times.began, times.cut, times.out, times.mended, times.back)
    begun = itertools.takewhile(math.isfinite, begins)
    found = [Row(number, begin - times.began) for number, begin in enumerate(begun)]
    for request in requests:
        row = found[phase(request, times)]
        if request.failure:
            row.failures[request.failure] += 1
        else:
            row.answers[request.name] += 1
    return found


def last_failure(requests: typing.Iterable[Request], times: Times) -> float | None:
    """Seconds from the cut until the last request began that failed, None where none did since."""
    return max((each.began - times.cut for each in requests if each.failure and each.ended >= times.cut), default=None)


def serving(row: Row, dead: str, endpoints: typing.Sequence[str]) -> list[str]:
    """Who should have equal shares; nobody while the one that was ``dead`` comes back."""
    if row.phase == MENDED:
        return []
    return [name for name in endpoints if row.phase in (ALL, BACK) or name != dead]


def judge(row: Row, dead: str, endpoints: typing.Sequence[str]) -> Verdict:
    """Hold a phase against what it should be: only the share of the dead one fails, and only while rules lead to it."""
    faults = []
    if row.phase == DEAD:
        p = weighted_p([row.failed, row.requests - row.failed], [1, len(endpoints) - 1])
        if row.failed * len(endpoints) > row.requests and p < P_MINIMUM:
            faults.append(f"{row.failed} of {row.requests} failed, more than the share of {dead}, p = {p:.1e}")
    else:
        faults += [f"{count} {what}" for what, count in sorted(row.failures.items())]
    # In flight when it died, or on its way back: then it may.
    known = [name for name in endpoints if row.phase != OUT or name != dead]
    faults += [f"{count} answered by {name}" for name, count in sorted(row.answers.items()) if name not in known]
    equal = serving(row, dead, endpoints)
    counts = [row.answers[name] for name in equal]
    if not equal:
        return Verdict(None, tuple(faults))
    if not sum(counts):
        return Verdict(None, (*faults, "no answer"))
    p = uniform_p(counts)
    if p < P_MINIMUM:
        faults.append(f"shares differ from chance, p = {p:.1e}")
    return Verdict(p, tuple(faults))


class Table:
    """The phases of a death as lines of text."""

    def __init__(self, endpoints: typing.Sequence[str]) -> None:
        self.endpoints = endpoints

    def head(self) -> str:
        names = " ".join(f"{name:>5}" for name in self.endpoints)
        return self._line("", "since", "requests", "failed", names, "expected", "p", "")

    def lines(self, row: Row, dead: str, verdict: Verdict) -> list[str]:
        counts = " ".join(f"{row.answers[name] or '.':>5}" for name in self.endpoints)
        equal = serving(row, dead, self.endpoints)
        share = f"{sum(row.answers[name] for name in equal) / len(equal):.1f}" if equal else ""
        p = "" if verdict.p is None else f"{verdict.p:.3f}"
        note = "FAIL" if verdict.faults else ""
        since = f"{row.since:.1f} s"
        line = self._line(row.title, since, str(row.requests), str(row.failed or "."), counts, share, p, note)
        return [line, *(f"      {fault}" for fault in verdict.faults)]

    def _line(self, title: str, *rest: str) -> str:
        since, requests, failed, counts, share, p, note = rest
        left = f"  {title:{max(map(len, TITLES))}}  {since:>8}  {requests:>8}  {failed:>6}"
        return f"{left}  {counts}  {share:>8}  {p:>5}  {note}".rstrip()
