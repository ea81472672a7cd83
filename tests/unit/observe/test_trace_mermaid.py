"""The flowchart of a trace: its syntax, and that no rule is taken for syntax."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from sluice.observe import trace_mermaid
from sluice.observe.outcomes import DROP, ENDPOINT, Outcome, Step
from sluice.observe.packets import Packet
from sluice.observe.trace import Traced

PACKET = Packet("10.96.0.1", 80)
LABEL = r'"(?:[A-Za-z0-9 ,:/=.→…-]|\#\d+;|<b>|</b>|<br/>)*"'
LINE = re.compile(
    rf"""%%\{{init:.*\}}%% | flowchart\ TB | classDef\ \w+\ [\w:#,-]+ | direction\ TB | end
    | subgraph\ \w+\[{LABEL}\] | \w+\[{LABEL}\] | \w+\(\[{LABEL}\]\)(:::\w+)?
    | \w+\ -->(\|{LABEL}\|)?\ \w+""",
    re.VERBOSE,
)
"""Every line that Mermaid 11 was seen to take, and nothing else."""

HOSTILE = [
    '"]; click n0 "javascript:alert(1)"',
    "</b><script>alert(1)</script>",
    "%%{init: {'securityLevel': 'loose'}}%%",
    "`markdown` *x* _y_ #quot; #35; ; end",
    "1. list\n- list",
    "|a| --> b{c}((d))\u2028\x00",
]


def _traced(rule: str, count: int = 2, packet: Packet = PACKET) -> Traced:
    path = (Step("nat", "PREROUTING", rule, "every packet"),)
    ways = [Outcome(ENDPOINT, f"10.1.0.{number}:80", Fraction(1, count), False, path) for number in range(count)]
    return Traced(packet, ways)


def _checked(text: str) -> list[str]:
    lines = text.splitlines()
    for line in lines:
        assert LINE.fullmatch(line.strip()), line
    return [line.strip() for line in lines]


def test_one_packet() -> None:
    lines = _checked(trace_mermaid.text([_traced("-p tcp -m tcp -j A")]))
    assert lines[1:-2] == [
        "flowchart TB",
        'n0(["<b>tcp to 10.96.0.1:80</b><br/>from a client elsewhere"])',
        'n1["<b>nat PREROUTING</b><br/>tcp → A"]',
        'n2(["<b>10.1.0.0:80</b><br/>sees the client"]):::endpoint',
        'n3(["<b>10.1.0.1:80</b><br/>sees the client"]):::endpoint',
        "n0 --> n1",
        'n1 -->|"1/2"| n2',
        'n1 -->|"1/2"| n3',
    ]


@pytest.mark.parametrize("rule", HOSTILE)
def test_no_rule_is_syntax(rule: str) -> None:
    step = Step(rule, rule, rule, rule)
    _checked(trace_mermaid.text([_traced(rule), Traced(PACKET, [Outcome(DROP, "", Fraction(1), False, (step,))])]))


def test_several_packets() -> None:
    lines = _checked(trace_mermaid.text([_traced("-j A"), _traced("-j A", packet=PACKET._replace(port=81))]))
    assert [line for line in lines if line.startswith("subgraph")] == [
        'subgraph p0["tcp to 10.96.0.1:80"]',
        'subgraph p1["tcp to 10.96.0.1:81"]',
    ]
    assert lines.count("end") == 2


def test_it_is_as_long_as_pages_draw() -> None:
    found = trace_mermaid.text([_traced("-m x " + "--long-option " * 100, 1000)] * 100)
    lines = _checked(found)
    assert f'others["and {100 - trace_mermaid.MOST} more addresses"]' in lines
    assert len(found) < 50_000
    assert sum("-->" in line for line in lines) < 500


def test_what_no_packet_survives_stands_out() -> None:
    dropped = Traced(PACKET, [Outcome(DROP, "", Fraction(1), False, (Step("nat", "A", "-j DROP", "x"),))])
    assert 'n2(["<b>dropped</b>"]):::lost' in _checked(trace_mermaid.text([dropped]))
