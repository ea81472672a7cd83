"""Selectors mean what they mean to kubectl, and whatever else is given is one line."""

from __future__ import annotations

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalogue import selectors

WEB = {"app": "web", "tier": "front", "example.com/rank": "7", "empty": "", "in": "x"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "app",
        "app=web",
        "app==web",
        " app = web ",
        "app=web,tier=front",
        "app = web , tier",
        "app!=db",
        "nothing!=web",
        "!nothing",
        "! nothing",
        "app in (db,web)",
        "app in(web)",
        "app in ( db , web )",
        "app notin (db,cache)",
        "nothing notin (web)",
        "empty=",
        "empty in (,x)",
        "empty in (x,)",
        "example.com/rank=7",
        "example.com/rank>6",
        "example.com/rank<8,app",
        "in",
        "in in (x)",
        "in=x",
        "app in (in, web)",
    ],
)
def test_what_matches(text: str) -> None:
    assert selectors.parse(text).matches(WEB)


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "app=db",
        "app==db",
        "app!=web",
        "!app",
        "app in (db)",
        "nothing in (web)",
        "app notin (web,db)",
        "app=web,tier=back",
        "app=",
        "nothing=",
        "example.com/rank>7",
        "example.com/rank<7",
        "app>1",
        "nothing<1",
        "App=web",
    ],
)
def test_what_does_not(text: str) -> None:
    assert not selectors.parse(text).matches(WEB)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("app=web,", "ends where a label should follow"),
        (",app", "',' stands where a label should"),
        ("app,,tier", "',' stands where a label should"),
        ("app web", "'web' stands where an operator or a comma should"),
        ("app in web", "'web' stands where '(' should"),
        ("app in (web", "ends where ',' or ')' should follow"),
        ("app in (web db)", "'db' stands where ',' or ')' should"),
        ("app in ()", "needs a value in its parentheses"),
        ("app in", "ends where '(' should follow"),
        ("app=web)", "')' stands where a comma should"),
        ("app=(web)", "'(' stands where a value should"),
        ("!app=web", "'=' stands where a comma should"),
        ("!", "ends where a label should follow"),
        ("app=a b", "'b' stands where a comma should"),
        ("app===web", "'=' stands where a value should"),
        ("app=we%b", "'we%b' is no value of a label"),
        ("-app", "'-app' is no name of a label"),
        ("a/b/c", "'a/b/c' is no name of a label"),
        ("UPPER.io/x", "'UPPER.io/x' is no name of a label"),
        ("app=" + "x" * 64, "is no value of a label"),
        ("y" * 64, "is no name of a label"),
        ("app>one", "needs a whole number, is 'one'"),
        ("app>" + "9" * 63, "needs a whole number, is '999"),
        ("app>", "needs a whole number, is ''"),
        ("app=\n\x1b[31m", "is no value of a label"),
    ],
)
def test_what_is_wrong_with_one(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        selectors.parse(text)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


@given(strategies.HOSTILE | st.text() | st.text(alphabet="ab=!,() <>innot/.-1\n"))
def test_nothing_crashes(text: str) -> None:
    try:
        found = selectors.parse(text)
    except ValueError as error:
        assert str(error).isprintable()  # one line
    else:
        assert found.matches(WEB) in (True, False)
        found.matches({})
