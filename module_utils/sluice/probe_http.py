"""The values of a probe by HTTP: what a request may say, and what its answer must be. See ``probe_values``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import addresses
from .probe_values import HEX, LABELS, WrongError, matching, shown, sized, text

MOST_BODY = 4096
"""Bytes of an answer's body that are read."""

_MOST_HEADERS = 32

_PATH = re.compile(r"/[!-~]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_FIELD_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?")
_SET_HERE = ("connection", "content-length", "transfer-encoding")
_RANGE = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")

path = matching(_PATH, "must begin with / and hold visible ASCII characters only (others as %XX)")
_header_name = matching(_TOKEN, "must be the name of a header (RFC 9110)")
_header_value = matching(_FIELD_VALUE, "must hold visible ASCII characters, with blanks between them only")
_sized_body = sized(1024)


def host(value: Any) -> str:
    """What a header Host says: a name or an address, and a port if there is one (RFC 9110, 7.2)."""
    name, colon, number = text(value).rpartition(":")
    if colon and not value.endswith("]") and number.isascii() and number.isdigit() and len(number) < 6:
        bare = name
    else:
        bare = value
    inner = bare[1:-1] if bare.startswith("[") and bare.endswith("]") else ""
    if not (LABELS.fullmatch(bare) or (inner and ":" in inner and addresses.address(inner))):
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


def body(value: Any) -> str:
    if text(value).startswith(HEX):
        raise WrongError(f"is a text, {HEX} is for udp")
    return _sized_body(value)
