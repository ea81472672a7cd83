"""Values in a listing of nft -j: what is compared with what, and the sets and maps that hold them."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Union

from .packets import ELSEWHERE, within

DAMAGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What a listing raises that has not the form in which nft -j prints it, or is nested like nothing that nft prints."""

Value = Union[int, str, tuple[Any, ...]]
"""A number, an address or a word; a tuple for a concatenation."""

Pattern = Any
"""A Value, or what a range, a network or a set is, as nft -j writes it; a tuple may have some of each."""


class MissError(LookupError):
    """A look-up found nothing: a rule ends there. The message says why."""


class Elements(NamedTuple):
    """The elements of a set or a map: single ones, and those that are ranges or networks."""

    single: Mapping[Value, Any]
    wide: Sequence[tuple[Pattern, Any]]

    def find(self, key: Value, name: str) -> Any:
        """What a map has for ``key``; True where it is in a set. Raises MissError."""
        if key in self.single:
            return self.single[key]
        for pattern, found in self.wide:
            if fits(key, pattern):
                return found
        raise MissError(f"not in {name}")


def elements(listed: Iterable[Any], *, mapped: bool) -> Elements:
    """The elements of a listed set, or of a map (``mapped``)."""
    single: dict[Value, Any] = {}
    wide = []
    for element in listed:
        key, found = (pattern(element[0]), element[1]) if mapped else (pattern(element), True)
        if isinstance(key, dict) or (isinstance(key, tuple) and any(isinstance(part, dict) for part in key)):
            wide.append((key, found))
        else:
            single[key] = found
    return Elements(single, wide)


def pattern(listed: Any) -> Pattern:
    """A listed value as it is compared."""
    if isinstance(listed, dict):
        if "elem" in listed:
            return pattern(listed["elem"]["val"])
        if "concat" in listed:
            return tuple(map(pattern, listed["concat"]))
        return listed
    return value(listed)


def value(listed: Any) -> Value:
    """A listed number, word or address. Traffic classes (``8005:3001``) are numbers, as nft has two names for them."""
    if not isinstance(listed, str):
        return int(listed) if isinstance(listed, (int, bool)) else str(listed)
    return _word(listed)


@functools.lru_cache(maxsize=1 << 16)
def _word(listed: str) -> Value:
    if listed == "none":
        return 0
    high, colon, low = listed.partition(":")
    if colon and low and ":" not in low and len(high) < 5 and len(low) < 5:
        return int(high, 16) << 16 | int(low, 16)
    try:
        return str(ipaddress.ip_address(listed))
    except ValueError:
        return listed


def fits(given: Value, wanted: Pattern) -> bool:
    """Whether a value is what is wanted, or in it."""
    if isinstance(wanted, tuple):
        return isinstance(given, tuple) and len(given) == len(wanted) and all(map(fits, given, wanted))
    if isinstance(wanted, list):
        return any(fits(given, pattern(each)) for each in wanted)
    if not isinstance(wanted, dict):
        return bool(given == wanted)
    if "set" in wanted:
        listed = wanted["set"]
        return fits(given, listed if isinstance(listed, list) else [listed])
    if "prefix" in wanted:
        network = f"{wanted['prefix']['addr']}/{wanted['prefix']['len']}"
        return isinstance(given, str) and within(given, network)
    if "range" in wanted and given != ELSEWHERE:
        low, high = wanted["range"]
        if isinstance(given, int):
            return bool(int(low) <= given <= int(high))
        place = int(ipaddress.ip_address(given)) if isinstance(given, str) else -1
        return int(ipaddress.ip_address(low)) <= place <= int(ipaddress.ip_address(high))
    return False
