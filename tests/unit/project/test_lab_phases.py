"""What the lab says of an endpoint's death: which phase a request counts for, what is as expected, the table."""

from __future__ import annotations

import collections

import phases
import pytest
from phases import ALL, BACK, DEAD, MENDED, OUT, Request, Row, Times

ENDPOINTS = ("web1", "web2", "web3")
TIMES = Times(began=10.0, cut=20.0, out=30.0, mended=40.0, back=50.0)


@pytest.mark.parametrize(
    ("began", "ended", "phase"),
    [
        (10.0, 19.9, ALL),
        # Under way when it died: that is no failure of before.
        (19.9, 20.1, DEAD),
        (29.9, 33.0, DEAD),
        (30.0, 30.1, OUT),
        (39.9, 41.0, OUT),
        (40.0, 40.1, MENDED),
        (50.0, 50.1, BACK),
    ],
)
def test_phase(began: float, ended: float, phase: int) -> None:
    assert phases.phase(Request(began, ended), TIMES) == phase


def test_rows_count_each_request_once() -> None:
    requests = [
        Request(11.0, 11.1, "web3"),
        Request(21.0, 21.1, failure="refused"),
        Request(22.0, 24.0, failure="dropped"),
        Request(31.0, 31.1, "web1"),
        Request(51.0, 51.1, "web3"),
    ]
    found = phases.rows(requests, TIMES)
    assert [(row.since, row.requests, row.failed) for row in found] == [
        (0, 1, 0),
        (10, 2, 2),
        (20, 1, 0),
        (30, 0, 0),
        (40, 1, 0),
    ]
    assert found[DEAD].failures == {"refused": 1, "dropped": 1}
    assert phases.last_failure(requests, TIMES) == 2
    assert phases.last_failure([Request(11.0, 11.1, failure="refused")], TIMES) is None


def test_rows_end_where_what_was_waited_for_did_not_happen() -> None:
    """It never left the rules: all requests since its death are of that phase, also those after it was mended."""
    times = Times(began=10.0, cut=20.0, mended=40.0)
    found = phases.rows([Request(11.0, 11.1, "web1"), Request(45.0, 45.1, "web1")], times)
    assert [row.requests for row in found] == [1, 1]


def row(phase: int, failed: int = 0, **answers: int) -> Row:
    return Row(phase, 1.0, collections.Counter(answers), collections.Counter({"refused": failed} if failed else {}))


@pytest.mark.parametrize("phase", [ALL, OUT, MENDED, BACK])
def test_no_request_may_fail_but_while_rules_lead_to_the_dead_one(phase: int) -> None:
    answers = {"web1": 100, "web2": 100} if phase == OUT else {"web1": 100, "web2": 100, "web3": 100}
    assert phases.judge(row(phase, **answers), "web3", ENDPOINTS).faults == ()
    assert phases.judge(row(phase, failed=1, **answers), "web3", ENDPOINTS).faults == ("1 refused",)


@pytest.mark.parametrize(
    ("failed", "faults"),
    [
        (0, ()),
        (50, ()),
        (65, ()),
        # 40² / 50 + 40² / 100 = 48 with one degree of freedom
        (90, ("90 of 150 failed, more than the share of web3, p = 4.3e-12",)),
    ],
)
def test_no_more_than_its_share_may_fail_before(failed: int, faults: tuple[str, ...]) -> None:
    answered = 150 - failed
    found = row(DEAD, failed=failed, web1=answered // 2, web2=answered - answered // 2)
    assert phases.judge(found, "web3", ENDPOINTS).faults == faults


def test_what_was_under_way_may_be_answered_by_the_dead_one_and_nothing_later() -> None:
    answers = {"web1": 100, "web2": 100, "web3": 1}
    assert phases.judge(row(DEAD, **answers), "web3", ENDPOINTS).faults == ()
    assert phases.judge(row(OUT, **answers), "web3", ENDPOINTS).faults == ("1 answered by web3",)
    assert phases.judge(row(BACK, **answers, web9=1), "web1", ENDPOINTS).faults[0] == "1 answered by web9"


def test_shares_are_of_those_that_serve() -> None:
    assert phases.judge(row(OUT, web1=100, web2=100), "web3", ENDPOINTS).p == 1
    # What came back has its share again.
    assert phases.judge(row(BACK, web1=100, web2=100), "web3", ENDPOINTS).faults == (
        "shares differ from chance, p = 1.9e-22",
    )
    # 50² / 100 twice, one degree of freedom
    assert phases.judge(row(OUT, web1=150, web2=50), "web3", ENDPOINTS).faults == (
        "shares differ from chance, p = 1.5e-12",
    )
    assert phases.judge(row(MENDED, web1=100, web2=100, web3=9), "web3", ENDPOINTS).p is None
    assert phases.judge(row(OUT), "web3", ENDPOINTS).faults == ("no answer",)


def test_table() -> None:
    table = phases.Table(ENDPOINTS)
    found = [row(ALL, web1=100, web2=90, web3=110), row(DEAD, 40, web1=60, web2=60), row(OUT, 2, web1=70, web2=80)]
    found.append(row(MENDED, web1=10, web2=10, web3=1))
    lines = [line for each in found for line in table.lines(each, "web3", phases.judge(each, "web3", ENDPOINTS))]
    assert [table.head(), *lines] == [
        "                         since  requests  failed   web1  web2  web3  expected      p",
        "  all serve              1.0 s       300       .    100    90   110     100.0  0.368",
        "  dead, in the rules     1.0 s       160      40     60    60     .      60.0  1.000",
        "  out of the rules       1.0 s       152       2     70    80     .      75.0  0.414  FAIL",
        "      2 refused",
        "  answers again          1.0 s        21       .     10    10     1",
    ]
