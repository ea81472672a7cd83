"""What becomes of a packet, as a tree for people: what all ways have in common, and then each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from .. import addresses
from ..catalogue import counts
from ..faults import printable
from .outcomes import DROP, ENDPOINT, PASS, REJECT, Outcome, Step
from .packets import Packet
from .trace import Traced

_BOLD, _DIM, _GREEN, _RED, _PLAIN = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m"
ENDS = {REJECT: "refused", DROP: "dropped", PASS: "goes on as it is: no rule sends it to an endpoint"}
MOST = 10
"""Ways that are shown rule by rule; of all others only the end."""


def text(found: Sequence[Traced], *, colour: bool = False) -> str:
    """All packets, one tree behind the other. ``colour``: with escape sequences of terminals."""
    return "\n".join("".join(f"{line}\n" for line in _Tree(each, colour).lines()) for each in found)


class _Tree:
    def __init__(self, traced: Traced, colour: bool) -> None:
        self._traced = traced
        self._packet, self._outcomes = traced.packet, traced.outcomes
        self._colour = colour

    def lines(self) -> Iterator[str]:
        yield self._in(_BOLD, ", ".join(packet_text(self._packet)))
        common = shared([outcome.path for outcome in self._outcomes])
        yield from self._steps(self._outcomes[0].path[:common], "")
        for number, outcome in enumerate(self._outcomes):
            last = number == len(self._outcomes) - 1
            yield f"{'└─' if last else '├─'} {self._end(outcome)}"
            if number < MOST:
                yield from self._steps(outcome.path[common:], "     " if last else "│    ")
        yield from self._answers()
        for note in self._traced.notes:
            yield self._in(_BOLD, "note: ") + printable(note)

    def _end(self, outcome: Outcome) -> str:
        chance = "" if outcome.probability == 1 else f"{fraction(outcome.probability)}  "
        if outcome.verdict != ENDPOINT:
            colour = _RED if outcome.verdict in (REJECT, DROP) else _BOLD
            return chance + self._in(colour, ENDS[outcome.verdict])
        return f"{chance}{self._in(_GREEN, outcome.endpoint)}, which {sees(self._packet, outcome)}"

    def _answers(self) -> Iterator[str]:
        told = answers(self._traced)
        for answer, short in told.items():
            yield f"answer: {answer}" if len(told) == 1 else f"answer ({short}): {answer}"

    def _steps(self, steps: Sequence[Step], indent: str) -> Iterator[str]:
        before = ("", "")
        for step in steps:
            if (step.table, step.chain) != before:
                yield f"{indent}{self._in(_BOLD, printable(f'{step.table} {step.chain}'))}"
                before = step.table, step.chain
            for why, count in step.skipped.items():
                yield self._in(_DIM, f"{indent}    {counts.several(count, 'rule')} passed over: {printable(why)}")
            yield f"{indent}    {printable(step.rule)}"
            yield self._in(_DIM, f"{indent}        {printable(step.why)}")

    def _in(self, colour: str, said: str) -> str:
        return f"{colour}{said}{_PLAIN}" if self._colour else said


def shared(paths: Sequence[Sequence[Step]]) -> int:
    """How many steps all ways begin with; what is skipped on the way may differ."""
    for number, steps in enumerate(zip(*paths)):
        if len({(step.table, step.chain, step.rule) for step in steps}) > 1:
            return number
    return min(map(len, paths)) if len(paths) > 1 else len(paths[0])


def packet_text(packet: Packet) -> tuple[str, str]:
    """Where a packet goes, and where it is from."""
    where = addresses.host_port(packet.destination, packet.port)
    return f"{packet.protocol} to {where}", f"from {packet.source or 'a client elsewhere'}"


def answers(traced: Traced) -> dict[str, str]:
    """How answers come back, each once, with a word for the outcomes that have it."""
    told: dict[str, str] = {}
    for outcome in traced.outcomes:
        short = sees(traced.packet, outcome) if outcome.verdict == ENDPOINT else outcome.verdict
        told.setdefault(traced.answer(outcome), short)
    return told


def sees(packet: Packet, outcome: Outcome) -> str:
    """Whose address an endpoint has to answer."""
    return f"sees {'the node' if outcome.masquerade else packet.source or 'the client'}"


def fraction(value: Fraction) -> str:
    """As short as a reader wants it."""
    return str(value) if value.denominator < 100_000 else f"{float(value):.3g}"
