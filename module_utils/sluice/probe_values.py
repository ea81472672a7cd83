"""The values of a probe's fields: what each may be, and how it is said again. See ``probes``.

A reader takes what JSON or YAML held and returns the value, or raises WrongError. Texts become lines of a request or
arguments of a program, so each is held to what can do no harm there.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping
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

MOST_BODY = 4096
"""Bytes of an answer's body that are read."""

_MOST_PAYLOAD = 1232
"""Bytes in one packet that need no fragments on any IPv6 path (1280 without headers)."""

_MOST_WORDS, _MOST_COMMAND = 64, 4096
_MOST_HEADERS, _MOST_LINE = 32, 2048

HEX = "hex:"

_PATH = re.compile(r"/[!-~]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_FIELD_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?")
_LABEL = r"[A-Za-z0-9_](?:[-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_LABELS = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_SET_HERE = ("connection", "content-length", "transfer-encoding")
_RANGE = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")


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


def _matching(pattern: re.Pattern[str], what: str, most: int = _MOST_LINE) -> Reader:
    def read(value: Any) -> str:
        if not pattern.fullmatch(text(value)):
            raise WrongError(f"{what}, is {shown(value)}")
        if len(value) > most:
            raise WrongError(f"is longer than {most} characters")
        return str(value)

    return read


path = _matching(_PATH, "must begin with / and hold visible ASCII characters only (others as %XX)")
host_name = _matching(_LABELS, "must be the name of a host")
domain = _matching(re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?"), "must be a domain name")
word = _matching(re.compile(r"[!-~]*"), "must hold visible ASCII characters only", 256)
_header_name = _matching(_TOKEN, "must be the name of a header (RFC 9110)")
_header_value = _matching(_FIELD_VALUE, "must hold visible ASCII characters, with blanks between them only")


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


def host(value: Any) -> str:
    """What a header Host says: a name or an address, and a port if there is one (RFC 9110, 7.2)."""
    name, colon, number = text(value).rpartition(":")
    if colon and not value.endswith("]") and number.isascii() and number.isdigit() and len(number) < 6:
        bare = name
    else:
        bare = value
    inner = bare[1:-1] if bare.startswith("[") and bare.endswith("]") else ""
    if not (_LABELS.fullmatch(bare) or (inner and ":" in inner and addresses.address(inner))):
        raise WrongError(f"must be the name of a host or an address ([…] for IPv6), is {shown(value)}")
    return str(value)


def headers(value: Any) -> tuple[tuple[str, str], ...]:
    """Kubernetes' ``httpHeaders``: a list of ``{name, value}``."""
    if not isinstance(value, list) or len(value) > _MOST_HEADERS:
        raise WrongError(f"must be a list of at most {_MOST_HEADERS} headers, each {{name, value}}")
    found = []
    for index, entry in enumerate(value):
        if not isinstance(entry, dict) or set(entry) != {"name", "value"}:
            raise WrongError("must be a mapping with name and value", f"[{index}]")
        for key, read in (("name", _header_name), ("value", _header_value)):
            try:
                read(entry[key])
            except WrongError as wrong:
                raise WrongError(str(wrong), f"[{index}].{key}") from None
        if entry["name"].lower() in _SET_HERE:
            raise WrongError("belongs to the connection, not to the question", f"[{index}].name")
        if entry["name"].lower() == "host":
            try:
                host(entry["value"])
            except WrongError as wrong:
                raise WrongError(str(wrong), f"[{index}].value") from None
        found.append((entry["name"], entry["value"]))
    if sum(name.lower() == "host" for name, _value in found) > 1:
        raise WrongError("there is more than one header Host")
    return tuple(found)


def say_headers(value: tuple[tuple[str, str], ...]) -> list[Mapping[str, str]]:
    return [{"name": name, "value": said} for name, said in value]


def status(value: Any) -> str:
    """Status codes and ranges of them, ``200-299, 304``, in order and without overlaps."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not text(value).isascii() or not value:
        raise WrongError(f"must be codes and ranges such as 200-299,304, is {shown(value)}")
    ranges = []
    for part in value.split(","):
        match = _RANGE.fullmatch(part.strip())
        if not match or int(match[2] or 599) < int(match[1]):
            raise WrongError(f"must be codes and ranges such as 200-299,304, is {shown(value)}")
        ranges.append((int(match[1]), int(match[2] or match[1])))
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return ",".join(f"{low}-{high}" if high > low else str(low) for low, high in merged)


def statuses(said: str) -> tuple[tuple[int, int], ...]:
    """The ranges of what ``status`` made."""
    ends = [part.partition("-") for part in said.split(",")]
    return tuple((int(low), int(high or low)) for low, _dash, high in ends)


def _sized(most: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if len(octets(text(value))) > most:
            raise WrongError(f"is longer than {most} bytes")
        return str(value)

    return read


payload, _sized_body = _sized(_MOST_PAYLOAD), _sized(1024)


def body(value: Any) -> str:
    if text(value).startswith(HEX):
        raise WrongError(f"is a text, {HEX} is for udp")
    return _sized_body(value)


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
