"""What a value may look like that is going to be part of a rule: the last thing that is asked before it is.

A check takes a column, the values of one field of many rows, and says whether all of them are of its form. Thousands of
values cost a handful of calls then. Types are asked first, and exactly: to Python, true is a number.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, filterfalse
from operator import itemgetter
from typing import Any, Callable

from . import addresses

Check = Callable[[Sequence[Any]], bool]

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
LABEL = re.compile(_LABEL)
"""A DNS label (RFC 1123)."""

SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
POD_ID = re.compile(r"[-A-Za-z0-9._:/]{1,317}")
"""A Pod's uid, or its namespace and name."""

SERVICE_PORT = re.compile(rf"{_LABEL}/{_LABEL}(?::(?:{_LABEL})?)?")
"""What ``names.display_name`` makes."""

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_is_ipv4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}").fullmatch


_is_device = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,14}").fullmatch


def is_device(text: str) -> bool:
    """Whether ``text`` may name a network device in a rule: the kernel takes 15 characters, and more kinds of them."""
    return bool(_is_device(text))


def is_name(text: str) -> bool:
    """Whether ``text`` may name a node: it becomes the name of a folder, and a word of a message."""
    return text.isprintable() and " " not in text and "/" not in text and text not in (".", "..")


class FormError(ValueError):
    """A row is not of its form; the message names the field."""


def text(column: Sequence[Any]) -> bool:
    return set(map(type, column)) <= {str}


def flag(column: Sequence[Any]) -> bool:
    return set(map(type, column)) <= {bool}


def whole(low: int, high: int) -> Check:
    """Whole numbers from ``low`` to ``high``."""
    return lambda column: (
        set(map(type, column)) <= {int} and (not column or (low <= min(column) and max(column) <= high))
    )


port = whole(1, 65535)


def matching(pattern: re.Pattern[str]) -> Check:
    """Text that is all of ``pattern``. Texts that are there often are asked once."""
    return lambda column: text(column) and all(map(pattern.fullmatch, set(column)))


def among(choices: Collection[str]) -> Check:
    return lambda column: text(column) and set(column) <= set(choices)


def spelled(characters: str) -> Check:
    """Text of these characters (the inside of a regular expression's brackets), for tens of thousands of them.

    Nothing else is asked, in a quarter of the time.
    """
    other = re.compile(rf"[^{characters}\n]").search

    def check(column: Sequence[Any]) -> bool:
        if not text(column):
            return False
        joined = "\n".join(column)
        return all(column) and other(joined) is None and joined.count("\n") == max(len(column) - 1, 0)

    return check


def address(column: Sequence[Any]) -> bool:
    """Canonical addresses of either family. Most are IPv4, for which a regular expression is twice as fast."""
    return text(column) and all(addresses.address(value) == value != "" for value in filterfalse(_is_ipv4, column))


def _ipv4(column: Sequence[Any]) -> bool:
    return text(column) and all(map(_is_ipv4, column))


def _ipv6(column: Sequence[Any]) -> bool:
    return address(column) and all(":" in value for value in column)


ADDRESS = {addresses.IPV4: _ipv4, addresses.IPV6: _ipv6}
"""Canonical addresses, by family."""

TARGET = {addresses.IPV4: spelled("0-9.:"), addresses.IPV6: spelled(r"0-9a-f.:\[\]")}
"""The characters of an address, and of what ``addresses.host_port`` makes of one, by family."""


def network(column: Sequence[Any]) -> bool:
    """Canonical networks of either family."""
    return text(column) and all(value and addresses.network(value) == value for value in set(column))


def optional(check: Check, nothing: str | None = "") -> Check:
    """What ``check`` takes, or ``nothing``."""
    return lambda column: check([value for value in column if value != nothing])


def several(check: Check) -> Check:
    """Lists of what ``check`` takes."""
    return lambda column: set(map(type, column)) <= {list, tuple} and check(list(chain.from_iterable(column)))


def rows(kind: type[Any], checks: Mapping[str, Check]) -> Check:
    """Rows of the NamedTuple ``kind``, a check for each of its fields. Raises FormError, which names the field."""
    fields: tuple[str, ...] = kind._fields
    if tuple(checks) != fields:
        raise AssertionError(f"a check for each field of {kind.__name__}, in their order")

    def check(column: Sequence[Any]) -> bool:
        if not set(map(type, column)) <= {list, tuple, kind} or not set(map(len, column)) <= {len(fields)}:
            raise FormError(kind.__name__)
        for place, field in enumerate(fields):
            # zip(*column) would keep an iterator for each row.
            if not checks[field](list(map(itemgetter(place), column))):
                raise FormError(f"{kind.__name__}.{field}")
        return True

    return check
