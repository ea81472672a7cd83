"""What is wrong with a damaged dump, in words for people: Python's own are about the program that reads it."""

from __future__ import annotations

import json
import re

FORM = "it has not the form in which its tool prints it"

_ENGINE = __name__[: -len(".observe.damage")]
_NUMBER = re.compile(r"invalid literal for int\(\) with base \d+: (.*)", re.DOTALL)
_ADDRESS = re.compile(r"(.*) does not appear to be an IPv4 or IPv6 (address|network)", re.DOTALL)


_LONGEST = 200
"""Characters of what is said: a damaged line may be long."""


def said(error: Exception) -> str:
    """What an error says of a dump: what our readers say as it is, what Python says of a value by that value."""
    told = _said(error)
    return told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…"


def _said(error: Exception) -> str:
    text = str(error)
    if type(error).__module__.startswith(_ENGINE):
        return text
    if isinstance(error, json.JSONDecodeError):
        is_cut = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated")
        what = "ends in the middle" if is_cut else "is no JSON"
        return f"{what}: line {error.lineno}, column {error.colno}: {error.msg}"
    if isinstance(error, ValueError):
        number, address = _NUMBER.fullmatch(text), _ADDRESS.fullmatch(text)
        if number:
            return f"{number[1]} is no number"
        if address:
            return f"{address[1]} is no {address[2]}"
    return FORM
