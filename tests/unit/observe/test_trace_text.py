"""A trace as a tree: what all ways have in common, and then each of them."""

from __future__ import annotations

from fractions import Fraction

from sluice.observe import trace_text
from sluice.observe.outcomes import DROP, ENDPOINT, PASS, Outcome, Step
from sluice.observe.packets import Packet
from sluice.observe.trace import Traced

PACKET = Packet("10.96.0.1", 80)
FIRST = Step("nat", "PREROUTING", "-j A", "every packet", {"another port": 2})


def _lines(*outcomes: Outcome, packet: Packet = PACKET) -> list[str]:
    return trace_text.text([Traced(packet, outcomes)]).splitlines()


def test_one_way() -> None:
    assert _lines(Outcome(DROP, "", Fraction(1), False, (FIRST, FIRST._replace(rule="-j DROP", skipped={})))) == [
        "tcp to 10.96.0.1:80, from a client elsewhere",
        "nat PREROUTING",
        "    2 rules passed over: another port",
        "    -j A",
        "        every packet",
        "    -j DROP",
        "        every packet",
        "└─ dropped",
        "answer: none: the client hears nothing, and waits until its timeout",
    ]


def test_ways_that_part() -> None:
    ends = [Step("nat", "A", f"-j {number}", "by chance") for number in (1, 2)]
    lines = _lines(
        Outcome(ENDPOINT, "10.1.0.1:80", Fraction(2, 3), True, (FIRST, ends[0])),
        Outcome(ENDPOINT, "10.1.0.2:80", Fraction(1, 3), False, (FIRST, ends[1])),
    )
    assert lines[5:-2] == [
        "├─ 2/3  10.1.0.1:80, which sees the node",
        "│    nat A",
        "│        -j 1",
        "│            by chance",
        "└─ 1/3  10.1.0.2:80, which sees the client",
        "     nat A",
        "         -j 2",
        "             by chance",
    ]
    assert lines[3] == "    -j A"
    assert [line.partition(": ")[0] for line in lines[-2:]] == ["answer (sees the node)", "answer (sees the client)"]


def test_no_rule() -> None:
    assert _lines(Outcome(PASS, "", Fraction(1), False, ()), packet=PACKET._replace(source="10.1.0.1")) == [
        "tcp to 10.96.0.1:80, from 10.1.0.1",
        "└─ goes on as it is: no rule sends it to an endpoint",
        "answer: of whoever has 10.96.0.1, by any way: nothing is rewritten",
    ]


def test_of_many_ways_only_the_first_are_told_rule_by_rule() -> None:
    count = trace_text.MOST + 5
    ways = [
        Outcome(ENDPOINT, f"10.1.0.{number}:80", Fraction(1, count), False, (Step("nat", "A", f"-j {number}", "x"),))
        for number in range(count)
    ]
    lines = _lines(*ways)
    assert sum(line.startswith(("├─", "└─")) for line in lines) == count
    assert sum("-j " in line for line in lines) == trace_text.MOST
    assert sum(line.startswith("answer: ") for line in lines) == 1, "they all have the same"


def test_nothing_moves_the_terminal_s_cursor() -> None:
    step = Step("na\x1bt", "\rA", "-j \x1b[2J", "\x07", {"\x1b": 1})
    assert not [line for line in _lines(Outcome(DROP, "", Fraction(1), False, (step,))) if not line.isprintable()]
