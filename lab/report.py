"""What the traffic report says: the arithmetic and the table, without I/O."""

from __future__ import annotations

import collections
import dataclasses
import typing

from sluice.chance import P_MINIMUM, uniform_p


@dataclasses.dataclass(frozen=True)
class Expectation:
    """What one client should see at one address.

    answers: the endpoints, of equal shares; or "refused" or "dropped".
    source: "kept" if endpoints see the client's own address, "node" if a load balancer's (masqueraded).
    sticky: the requests of one source address all reach one endpoint (sessionAffinity ClientIP).
    bind: the client's source address, or a prefix with one address a customer.
    """

    service: str
    kind: str
    address: str
    port: int
    protocol: str
    client: str
    answers: tuple[str, ...] | str
    source: str = "kept"
    sticky: bool = False
    bind: str = ""

    @property
    def target(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" + ("" if self.protocol == "tcp" else f"/{self.protocol}")


@dataclasses.dataclass
class Outcome:
    """What it saw. answers: requests by the name that answered; others: requests by what came of them instead."""

    answers: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    others: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    wrong_source: int = 0
    first: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    unsteady: int = 0
    skipped: str = ""


@dataclasses.dataclass(frozen=True)
class Verdict:
    p: float | None
    faults: tuple[str, ...]


def judge(expected: Expectation, seen: Outcome) -> Verdict:
    """Hold an outcome against its expectation."""
    if seen.skipped:
        return Verdict(None, ())
    faults = []
    if isinstance(expected.answers, str):
        wanted = seen.others[expected.answers]
        strangers = seen.answers + seen.others
        del strangers[expected.answers]
        faults += [f"{count} {what}" for what, count in sorted(strangers.items())]
        if not wanted:
            faults.append(f"none {expected.answers}")
        return Verdict(None, tuple(faults))
    faults += [f"{count} {what}" for what, count in sorted(seen.others.items())]
    faults += [
        f"{count} answered by {name}" for name, count in sorted(seen.answers.items()) if name not in expected.answers
    ]
    if seen.wrong_source:
        faults.append(f"{seen.wrong_source} with a source address that is not {expected.source}")
    if seen.unsteady:
        faults.append(f"{seen.unsteady} away from their session's endpoint")
    # Requests of one session are one draw, however many they are.
    draws = seen.first if expected.sticky else seen.answers
    counts = [draws[name] for name in expected.answers]
    if not sum(counts):
        return Verdict(None, (*faults, "no answer"))
    if expected.sticky and sum(counts) == 1:
        return Verdict(None, tuple(faults))
    p = uniform_p(counts)
    if p < P_MINIMUM:
        faults.append(f"shares differ from chance, p = {p:.1e}")
    return Verdict(p, tuple(faults))


class Table:
    """The report as lines of text: one a service that is new, one an address and client."""

    def __init__(self, endpoints: typing.Sequence[str], services: typing.Sequence[Expectation]) -> None:
        self.endpoints = endpoints
        self._kind = max(len(row.kind) for row in services)
        self._address = max(len(row.target) for row in services)
        self._client = max(len("from"), *(len(row.client) for row in services))
        self._service = ""

    def head(self) -> str:
        columns = " ".join(f"{name:>5}" for name in self.endpoints)
        return self._line("", "address", "from", columns, "expected", "source", "p", "")

    def rows(self, expected: Expectation, seen: Outcome, verdict: Verdict) -> list[str]:
        lines = []
        if expected.service != self._service:
            self._service = expected.service
            lines.append(expected.service)
        counts = " ".join(f"{seen.answers[name] or '.':>5}" for name in self.endpoints)
        if seen.skipped:
            share, counts = "SKIPPED", " " * len(counts)
        elif isinstance(expected.answers, str):
            share = f"{expected.answers} {seen.others[expected.answers]}"
        elif expected.sticky:
            share = f"{sum(seen.first.values())} sessions"
        else:
            share = f"{sum(seen.answers.values()) / len(expected.answers):.1f}"
        p = "" if verdict.p is None or len(expected.answers) < 2 else f"{verdict.p:.3f}"
        source = "" if seen.skipped or isinstance(expected.answers, str) else expected.source
        note = "FAIL" if verdict.faults else ""
        lines.append(self._line(expected.kind, expected.target, expected.client, counts, share, source, p, note))
        lines += [f"      {remark}" for remark in (*verdict.faults, seen.skipped) if remark]
        return lines

    def _line(self, kind: str, address: str, client: str, *rest: str) -> str:
        counts, share, source, p, note = rest
        path = f"  {kind:{self._kind}}  {address:{self._address}}  {client:{self._client}}"
        return f"{path}  {counts}  {share:>11}  {source:6}  {p:>5}  {note}".rstrip()
