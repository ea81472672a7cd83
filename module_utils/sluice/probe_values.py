"""The values of a probe's fields: what each may be, and how it is said again. See ``probes``.

A reader takes what JSON or YAML held and returns the value, or raises WrongError. Texts become lines of a request or
arguments of a program, so each is held to what can do no harm there.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection
from typing import Any, Callable, NamedTuple

from . import addresses

Reader = Callable[[Any], Any]


class Field(NamedTuple):
    """A field: the attribute of a Probe that it becomes, its reader, and what JSON holds for the attribute's value."""

    attribute: str
    read: Reader
    say: Callable[[Any], Any] = lambda value: value


class WrongError(ValueError):
    """A value that cannot be taken; ``place`` is the path to it within the field, such as ``[1].name``."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


DNS_TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
"""Types of records that may be asked for, with their numbers (RFC 1035, 2782, 3596)."""

_MOST_PAYLOAD = 1232
"""Bytes in one packet that need no fragments on any IPv6 path (1280 without headers)."""

MOST_LINE = 2048
"""Characters of a text that becomes part of a line."""

_MOST_WORDS, _MOST_COMMAND = 64, 4096

HEX = "hex:"

_LABEL = r"[A-Za-z0-9_](?:[-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
LABELS = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


def shown(value: Any) -> str:
    """``value`` for a message: on one line, and never long."""
    said = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"a {type(value).__name__}"
    return said if len(said) <= 60 else f"{said[:57]}..."


def unknown(name: Any, known: Collection[str]) -> str:
    """What is wrong with a field of this name, with the one of ``known`` that may be meant."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return "there is no such field" + (f"; did you mean {near[0]}?" if near else "")


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongError(f"must be a text, is {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise WrongError("holds half a character (a surrogate)") from None
    return value


def matching(pattern: re.Pattern[str], what: str, most: int = MOST_LINE) -> Reader:
    def read(value: Any) -> str:
        if not pattern.fullmatch(text(value)):
            raise WrongError(f"{what}, is {shown(value)}")
        if len(value) > most:
            raise WrongError(f"is longer than {most} characters")
        return str(value)

    return read


host_name = matching(LABELS, "must be the name of a host")
domain = matching(re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?"), "must be a domain name")
word = matching(re.compile(r"[!-~]*"), "must hold visible ASCII characters only", 256)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongError(f"must be true or false, is {shown(value)}")
    return value


def among(*choices: str) -> Reader:
    def read(value: Any) -> str:
        if value not in choices:
            raise WrongError(f"must be one of {', '.join(choices)}, is {shown(value)}")
        return str(value)

    return read


def whole(low: int, high: int) -> Reader:
    """Whole numbers from ``low`` to ``high``."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise WrongError(f"must be a whole number from {low} to {high}, is {shown(value)}")
        return value

    return read


def seconds(low: float, high: float) -> Reader:
    """Seconds from ``low`` to ``high``, as milliseconds."""

    def read(value: Any) -> int:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not low <= value <= high or not math.isclose(value * 1000, round(value * 1000)):
            raise WrongError(f"must be a number from {low:g} to {high:g}, in steps of 0.001, is {shown(value)}")
        milliseconds: int = round(value * 1000)
        return milliseconds

    return read


def say_seconds(milliseconds: int) -> float:
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def port(value: Any) -> int | str:
    if isinstance(value, str):
        if not _PORT_NAME.fullmatch(value):
            raise WrongError(f"must be a number or the name of an endpoint's port, is {shown(value)}")
        return value
    number: int = whole(1, 65535)(value)
    return number


def sized(most: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if len(octets(text(value))) > most:
            raise WrongError(f"is longer than {most} bytes")
        return str(value)

    return read


payload = sized(_MOST_PAYLOAD)


def octets(said: str) -> bytes:
    """The bytes of a payload: its UTF-8, or behind ``hex:`` what the digits say. Raises WrongError."""
    if not said.startswith(HEX):
        return said.encode()
    try:
        return bytes.fromhex(said[len(HEX) :])
    except ValueError:
        raise WrongError(f"must have pairs of hexadecimal digits behind {HEX}") from None


def file(value: Any) -> str:
    """An absolute path without detours, so that who owns it can be seen from its name."""
    found = text(value)
    parts = found.split("/")[1:]
    if not found.startswith("/") or not found.isprintable() or not all(parts) or {".", ".."} & set(parts):
        raise WrongError(f"must be an absolute path without . and .., is {shown(value)}")
    if len(found.encode()) > _MOST_COMMAND:
        raise WrongError(f"is longer than {_MOST_COMMAND} bytes")
    return found


def command(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_WORDS:
        raise WrongError(f"must be a list of 1 to {_MOST_WORDS} texts: a program and its arguments")
    for index, argument in enumerate(value):
        try:
            if "\0" in text(argument):
                raise WrongError("holds a NUL")
            if not index:
                file(argument)
                if "{address}" in argument or "{port}" in argument:
                    raise WrongError("what an endpoint is cannot choose the program")
        except WrongError as wrong:
            raise WrongError(str(wrong), f"[{index}]") from None
    if sum(len(argument.encode()) + 1 for argument in value) > _MOST_COMMAND:
        raise WrongError(f"is longer than {_MOST_COMMAND} bytes")
    return tuple(value)


def on_all_down(value: Any) -> str:
    """``open``, ``closed``, or ``ADDRESS:PORT`` of ``sorry: ADDRESS:PORT``, which YAML may take for a mapping."""
    if isinstance(value, dict) and list(value) == ["sorry"]:
        value = f"sorry:{value['sorry']}"
    if value in ("open", "closed"):
        return str(value)
    word_, colon, target = text(value).partition(":")
    try:
        where, number = addresses.split_port(target.strip())
        where = addresses.address(where)
    except ValueError:
        where, number = "", 0
    if word_ != "sorry" or not colon or not where or not 1 <= number <= 65535:
        raise WrongError(f"must be open, closed, or sorry: ADDRESS:PORT, is {shown(value)}")
    return addresses.host_port(where, number)


def say_on_all_down(value: str) -> str:
    return value if value in ("", "open", "closed") else f"sorry: {value}"
