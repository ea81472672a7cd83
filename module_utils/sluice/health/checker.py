"""The checker: asks endpoints whether they answer, and tells the supervisor. One process, one loop, no privileges."""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import sys
import time

from ..system import signals
from . import execs, privileges
from .attempts import IN, Attempt, LocalError
from .reasons import Reason, of_errno
from .reports import Reports
from .subjects import Subject, Subjects
from .timers import Timers
from .untracked import Untracked
from .wire import Heartbeat

_BEAT = 1.0
"""Seconds between two heartbeats."""

_EVENTS = 512
_BEGINNINGS = 128
"""What is begun before answers are looked at again, so that none waits for long."""

_clock = time.monotonic

Flight = tuple[Subject, Attempt, float]
"""An attempt that is under way, with its check and when it began."""


def main(path: str) -> int:
    """Be the checker of the supervisor that listens at ``path``, until SIGTERM. An exit code."""
    try:
        privileges.drop()
        most = privileges.descriptors()
    except OSError as error:
        sys.stderr.write(f"sluice health: the checker cannot begin: {error}\n")
        return 1
    with contextlib.closing(Loop(path, most)) as loop, signals.until_ended() as ended:
        loop.watch(ended)
        while loop.step():
            pass
    return 0


class Loop:
    """The loop of a checker that has room for ``most`` attempts at a time."""

    def __init__(self, path: str, most: int) -> None:
        self._most = most
        self._epoll = select.epoll()
        self._subjects = Subjects()
        self._untracked = Untracked()
        self._flying: dict[int, Flight] = {}
        self._turns: Timers[Subject] = Timers()
        self._retries: Timers[Subject] = Timers()
        # Neither keeps what an attempt has read: its descriptor and when it began are enough to know it by.
        self._deadlines: Timers[tuple[int, float]] = Timers()
        self._reports = Reports(path, self._epoll, self._subjects)
        self._ended = -1
        self._next_beat = 0.0
        self._done = 0
        self._late: list[float] = []

    def close(self) -> None:
        for flight in list(self._flying.values()):
            _close(flight[1])
        execs.end()
        self._reports.close(_clock())
        self._epoll.close()

    def watch(self, ended: socket.socket) -> None:
        """End when ``ended`` can be read from."""
        self._ended = ended.fileno()
        self._epoll.register(self._ended, IN)

    def step(self) -> bool:
        """Begin what is due, and go on with what has come. False when this is the end."""
        now = _clock()
        if now >= self._next_beat:
            self._beat(now)
        self._reports.connect(now)
        more = self._begin_what_is_due(now)
        looked = _clock()
        events = self._epoll.poll(0 if more else self._wait(looked), _EVENTS)
        for descriptor, happened in events:
            flight = self._flying.get(descriptor)
            if flight is not None:
                self._go_on(descriptor, flight, happened)
            elif descriptor == self._ended:
                return False
            else:
                self._talk(looked)
        # An answer that was there in time counts, however late this process looks: first all events, then the time.
        if len(events) < _EVENTS:
            for _delay, _due, (descriptor, began) in self._deadlines.pop(looked):
                flight = self._flying.get(descriptor)
                if flight is not None and flight[2] == began:
                    self._finish(descriptor, flight, Reason.TIMEOUT)
        self._reports.tell(looked)
        return True

    # --- endpoints

    def _wait(self, now: float) -> float:
        due = [self._next_beat, self._deadlines.next(), self._reports.next_try]
        if len(self._flying) < self._most:
            due += [self._retries.next(), self._turns.next()]
        return max(min(each for each in due if each is not None) - now, 0.0)

    def _begin_what_is_due(self, now: float) -> bool:
        """Whether something that is due had to wait for others that are."""
        room = min(_BEGINNINGS, self._most - len(self._flying))
        if room <= 0:
            return False
        for _delay, due, subject in self._retries.pop(now):
            subject.retrying = False
            if subject.id >= 0:
                self._begin(subject, due)
                room -= 1
                if not room:
                    return True
        for period, due, subject in self._turns.pop(now):
            length = subject.question.period
            if now - due > length:
                # This process was stopped, or cannot keep up: what was missed is not made up for all at once.
                self._turns.add(period, now, subject)
                self._spread(period, now)
                return True
            subject.due = max(due + length, now)
            self._turns.add(period, subject.due, subject)
            if subject.flying < 0 and not subject.retrying:
                self._begin(subject, due)
                room -= 1
                if not room:
                    return True
        return False

    def _begin(self, subject: Subject, due: float) -> None:
        began = _clock()
        self._late.append(began - due)
        question = subject.question
        attempt = None
        try:
            port = self._untracked.port(subject, began)
            target = subject.target._replace(source_port=port) if port else subject.target
            attempt = question.begin(target)
            descriptor = attempt.fileno()
            self._epoll.register(descriptor, attempt.wants)
        except Exception as error:
            if attempt is not None:
                _close(attempt)
            self._answer(subject, _reason(error), began)
            return
        subject.flying = descriptor
        self._flying[descriptor] = subject, attempt, began
        self._deadlines.add(question.probe.timeout, began + question.timeout, (descriptor, began))

    def _go_on(self, descriptor: int, flight: Flight, happened: int) -> None:
        attempt = flight[1]
        wanted = attempt.wants
        try:
            reason = attempt.step(happened)
        except Exception as error:
            reason = _reason(error)
        if reason is not None:
            self._finish(descriptor, flight, reason)
        elif attempt.wants != wanted:
            self._epoll.modify(descriptor, attempt.wants)

    def _finish(self, descriptor: int, flight: Flight, reason: Reason) -> None:
        subject, attempt, began = flight
        del self._flying[descriptor]
        subject.flying = -1
        _close(attempt)
        self._answer(subject, reason, began)

    def _answer(self, subject: Subject, reason: Reason, began: float) -> None:
        now = _clock()
        self._done += 1
        self._untracked.learn(subject, reason, now)
        if subject.answer(reason, began, now):
            self._reports.note(subject)
        if reason < Reason.LOCAL and subject.machine.falling:
            subject.retrying = True
            self._retries.add(subject.question.probe.retry, now + subject.question.retry, subject)

    def _spread(self, period: int, now: float) -> None:
        """Give all checks of a period their next turn again."""
        subjects = self._subjects.by_period()[period]
        for subject in subjects:
            subject.plan(now)
        self._turns.fill(period, ((subject.due, subject) for subject in subjects))

    # --- the supervisor

    def _talk(self, now: float) -> None:
        wanted = self._reports.talk(now)
        if wanted is None:
            return
        gc.unfreeze()
        self._untracked.ports = wanted.ports
        for subject in self._subjects.take(wanted, now):
            flight = self._flying.pop(subject.flying, None)
            if flight is not None:
                _close(flight[1])
        periods = self._subjects.by_period()
        self._turns.keep(periods)
        for period, subjects in periods.items():
            self._turns.fill(period, ((subject.due, subject) for subject in subjects))
        self._reports.all()
        # They stay: a collector that looked at all of them again and again would be what is late here.
        gc.collect()
        gc.freeze()

    def _beat(self, now: float) -> None:
        """Say that this process lives, and clean up behind programs."""
        self._next_beat = now + _BEAT
        execs.tidy()
        late = sorted(self._late)
        self._late.clear()
        latest = int(late[len(late) * 99 // 100] * 1e6) if late else 0
        known = self._subjects.generation, self._done, len(self._flying), latest, self._untracked.needed(now)
        self._reports.beat(Heartbeat(*known), now)


def _close(attempt: Attempt) -> None:
    with contextlib.suppress(OSError, ValueError):
        attempt.close()


def _reason(error: Exception) -> Reason:
    """What an error says of an endpoint. One of ours says nothing of it, and the others are asked on."""
    if isinstance(error, LocalError):
        return error.reason
    return of_errno(error.errno) if isinstance(error, OSError) else Reason.LOCAL
