"""The checks of a list, each with what is known of its endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Callable, NamedTuple

from .. import addresses, probes
from ..probes import Probe
from . import timers
from .attempts import Attempt, LocalError, Target
from .check import Check, probe_of
from .kinds import KINDS
from .reasons import Reason
from .states import Machine
from .wire import MOST_MILLISECONDS, List, Record


class Question(NamedTuple):
    """A question, understood: what its kind made of it, and how it begins an attempt. Times in seconds."""

    probe: Probe
    prepared: Any
    begin: Callable[[Target], Attempt]
    streams: bool
    period: float
    timeout: float
    retry: float


class Subject:
    """One check: what to ask, when, and what is known. There may be 25,000, so it is small.

    ``id`` is that of the list, -1 when no list has it any more. ``flying`` is the descriptor of the attempt that is
    under way, -1 where none is; ``retrying``: a failure waits to be confirmed. ``due`` is its next turn, at ``part`` of
    each period. Of module untracked: ``place`` of the last port, whether the last attempt was ``untracked``, and
    whether the last of those was ``silent``.
    """

    __slots__ = (
        "due",
        "flying",
        "id",
        "machine",
        "part",
        "place",
        "question",
        "retrying",
        "silent",
        "target",
        "took",
        "untracked",
    )

    def __init__(self, question: Question, target: Target) -> None:
        self.id = -1
        self.question = question
        self.target = target
        self.machine = Machine()
        self.part = self.due = 0.0
        self.flying = -1
        self.retrying = False
        self.took = 0
        self.place = 0
        self.untracked = self.silent = False

    def plan(self, now: float) -> None:
        """Have its next turn after ``now``."""
        self.due = timers.turn(now, self.question.period, self.part)

    def answer(self, reason: Reason, began: float, now: float) -> bool:
        """Take in what came of an attempt. Whether there is something new to tell."""
        self.took = int((now - began) * 1000)
        probe = self.question.probe
        return self.machine.answer(reason, now, probe.fall, probe.rise, probe.rise * self.question.period)

    def record(self) -> Record:
        return Record(self.id, self.machine.state, self.machine.reason, min(self.took, MOST_MILLISECONDS))


class Subjects:
    """All checks of the last list."""

    def __init__(self) -> None:
        self._all: dict[Check, Subject] = {}
        self._node = ""
        self.generation = 0

    def __iter__(self) -> Iterator[Subject]:
        return iter(self._all.values())

    def take(self, wanted: List, now: float) -> list[Subject]:
        """Have the checks of a list, and what is known of them so far. Returns those that it has no more."""
        before, self._all = self._all, {}
        other_node, self._node = wanted.node != self._node, wanted.node
        sources = {addresses.family_of(each): each for each in map(str.strip, wanted.source.split(",")) if each}
        questions: dict[str, Question] = {}
        for number, check in wanted.checks:
            source = sources.get(addresses.family_of(check.address), "")
            subject = before.pop(check, None) or self._all.get(check)
            new = subject is None
            if subject is None:
                if check.question not in questions:
                    questions[check.question] = understood(check.question)
                subject = _subject(questions[check.question], check, source)
            elif subject.target.source != source:
                subject.target = subject.target._replace(source=source)
            if new or other_node:
                subject.part, subject.place = timers.phase(wanted.node, check)
                subject.plan(now)
            subject.id = number
            self._all[check] = subject
        self.generation = wanted.generation
        for subject in before.values():
            subject.id = -1
        return list(before.values())

    def by_period(self) -> Mapping[int, list[Subject]]:
        """Those that can be asked, by the milliseconds of their period."""
        found: dict[int, list[Subject]] = defaultdict(list)
        for subject in self:
            if subject.question.begin is not _never:
                found[subject.question.probe.period].append(subject)
        return found

    def known(self) -> Iterator[Subject]:
        """Those of which there is something to tell."""
        return (each for each in self if each.machine.reason is not Reason.NOT_YET)


def understood(text: str) -> Question:
    """The question that ``text`` asks. Where this version knows none such, it is one that is never asked."""
    try:
        probe = probe_of(text)
        kind = KINDS[probe.kind]
        prepared, begin, streams = kind.prepare(probe), kind.begin, kind.streams
    except (ValueError, RecursionError):
        probe, prepared, begin, streams = Probe(probes.TCP), None, _never, False
    period, timeout, retry = (each / 1000 for each in (probe.period, probe.timeout, probe.retry))
    return Question(probe, prepared, begin, streams, period, timeout, retry)


def _subject(question: Question, check: Check, source: str) -> Subject:
    target = Target(check.address, check.port, question.probe, question.prepared, source, {})
    found = Subject(question, target)
    if question.begin is _never:
        found.machine.reason = Reason.NO_QUESTION
    return found


def _never(target: Target) -> Attempt:
    raise LocalError(Reason.NO_QUESTION)
