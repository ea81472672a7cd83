"""The lab's arithmetic and table."""

from __future__ import annotations

import collections

import pytest
import report


def expectation(**fields: object) -> report.Expectation:
    given: dict[str, object] = {
        "service": "shop/cart",
        "kind": "ClusterIP",
        "address": "10.96.0.10",
        "port": 80,
        "protocol": "tcp",
        "client": "client",
        "answers": ("web1", "web2"),
        **fields,
    }
    return report.Expectation(**given)  # type: ignore[arg-type]


def outcome(answers: dict[str, int] | None = None, **fields: object) -> report.Outcome:
    return report.Outcome(answers=collections.Counter(answers or {}), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "seen", "faults"),
    [
        (expectation(), outcome({"web1": 140, "web2": 160}), ()),
        (expectation(), outcome({"web1": 300}), ("shares differ from chance, p = 3.3e-67",)),
        (expectation(), outcome({"web1": 140, "web2": 150, "web3": 10}), ("10 answered by web3",)),
        (
            expectation(),
            outcome({"web1": 150, "web2": 149}, others=collections.Counter(refused=1)),
            ("1 refused",),
        ),
        (
            expectation(),
            outcome({"web1": 150, "web2": 150}, wrong_source=7),
            ("7 with a source address that is not kept",),
        ),
        (expectation(), outcome(others=collections.Counter(dropped=3)), ("3 dropped", "no answer")),
        (expectation(answers="refused"), outcome(others=collections.Counter(refused=8)), ()),
        (expectation(answers="refused"), outcome({"web1": 8}), ("8 web1", "none refused")),
        (expectation(answers="dropped"), outcome(others=collections.Counter(dropped=7, answered=1)), ("1 answered",)),
        (
            expectation(sticky=True),
            outcome({"web1": 299, "web2": 1}, first=collections.Counter(web1=1), unsteady=1),
            ("1 away from their session's endpoint",),
        ),
        (
            expectation(sticky=True),
            outcome({"web1": 150, "web2": 150}, first=collections.Counter(web1=30, web2=30)),
            (),
        ),
        (
            expectation(sticky=True),
            outcome({"web1": 300}, first=collections.Counter(web1=60)),
            ("shares differ from chance, p = 9.5e-15",),
        ),
        (expectation(), outcome(skipped="no SCTP"), ()),
    ],
)
def test_judge(expected: report.Expectation, seen: report.Outcome, faults: tuple[str, ...]) -> None:
    assert report.judge(expected, seen).faults == faults


def table_of(*pairs: tuple[report.Expectation, report.Outcome]) -> list[str]:
    table = report.Table(["web1", "web2", "web3"], [expected for expected, _ in pairs])
    rows = [line for pair in pairs for line in table.rows(*pair, report.judge(*pair))]
    return [table.head(), *rows]


def test_table() -> None:
    lines = table_of(
        (expectation(), outcome({"web1": 140, "web2": 160})),
        (expectation(client="web1", source="node"), outcome({"web1": 300})),
        (expectation(kind="LoadBalancer", answers="refused"), outcome(others=collections.Counter(refused=8))),
        (
            expectation(service="infra/dns", address="fd00::1", protocol="sctp"),
            outcome(skipped="this kernel has none"),
        ),
    )
    assert lines == [
        "                address            from     web1  web2  web3     expected  source      p",
        "shop/cart",
        "  ClusterIP     10.96.0.10:80      client    140   160     .        150.0  kept    0.248",
        "  ClusterIP     10.96.0.10:80      web1      300     .     .        150.0  node    0.000  FAIL",
        "      shares differ from chance, p = 3.3e-67",
        "  LoadBalancer  10.96.0.10:80      client      .     .     .    refused 8",
        "infra/dns",
        "  ClusterIP     [fd00::1]:80/sctp  client                         SKIPPED",
        "      this kernel has none",
    ]


def test_table_keeps_to_the_page() -> None:
    wide = expectation(kind="LoadBalancer", address="2001:db8:51::ffff:ffff", port=65535, answers=("web1", "web2"))
    table = report.Table([f"web{number}" for number in range(1, 7)], [wide])
    seen = outcome({"web1": 10000, "web2": 10000})
    assert max(map(len, [table.head(), *table.rows(wide, seen, report.judge(wide, seen))])) <= 120
