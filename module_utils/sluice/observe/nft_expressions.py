"""Expressions of nft(8)'s language, as ``nft -j`` writes them (libnftables-json(5)). Pure."""

from __future__ import annotations

import functools
import re
from typing import Any, Callable

from .nft_lexer import END, NftError, Words, string

_DEEPEST = 16
"""Braces within braces; nft has no use for more than two."""

_LONGEST = 32
"""Operations in a row: as many as a word has bits."""

_LENGTH = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:\d+ms)?")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,16}")
_PREFIX = re.compile(r"([0-9a-f.:]*[.:][0-9a-f.:]*)/(\d{1,3})")
_RANGE = re.compile(
    r"(\d{1,18}|0x[0-9a-f]{1,16})-(\d{1,18}|0x[0-9a-f]{1,16})|([0-9a-f.:]*[.:][0-9a-f.:]*)-([0-9a-f.:]*[.:][0-9a-f.:]*)"
)

_META = frozenset(
    (
        *("mark", "iif", "iifname", "oif", "oifname", "skuid", "skgid", "rtclassid", "pkttype"),
        *("iiftype", "oiftype", "iifgroup", "oifgroup", "cgroup", "cpu"),
    )
)
"""Of the keys of ``meta`` those that stand without that word as well."""

_PROTOCOLS = frozenset(
    (
        *("ip", "ip6", "tcp", "udp", "sctp", "th", "icmp", "icmpv6"),
        *("ether", "vlan", "arp", "udplite", "dccp", "ah", "esp", "comp"),
    )
)
_OPERATORS = (("|", "or"), ("^", "xor"), ("&", "and"), ("<<", "lshift", ">>", "rshift"))
"""From those that bind least."""

_SYMBOLS = {"or": "|", "xor": "^", "and": "&", "lshift": "<<", "rshift": ">>"}


def seconds(word: str) -> int:
    """Of a length such as ``1h30m``. Raises NftError."""
    found = _LENGTH.fullmatch(word)
    if not word or found is None or len(word) > 40:
        raise NftError(f"{word} is no length of time")
    days, hours, minutes, secs = (int(each or 0) for each in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + secs


@functools.lru_cache(maxsize=1 << 16)
def literal(word: str) -> Any:
    """A number, a word, a network or a range. Nobody may change what comes of it."""
    if word.isdecimal() and word.isascii() and len(word) < 20:
        return int(word)
    if word.startswith("0x") and _HEXADECIMAL.fullmatch(word):
        return int(word, 16)
    network = _PREFIX.fullmatch(word) if "/" in word else None
    if network:
        return {"prefix": {"addr": network[1], "len": int(network[2])}}
    found = _RANGE.fullmatch(word) if "-" in word else None
    if found:
        return {"range": [_number(found[1]), _number(found[2])] if found[1] else [found[3], found[4]]}
    return string(word)


def _number(word: str) -> int:
    return int(word, 16 if word.startswith("0x") else 10)


def expression(words: Words, depth: int = 0) -> Any:
    """What a rule looks at. Raises NftError."""
    found = _concatenated(words, functools.partial(_primary, depth=depth))
    if words.take("map"):
        return {"map": {"key": found, "data": data(words, depth)}}
    return found


def wanted(words: Words, depth: int = 0) -> Any:
    """What something is compared with. Raises NftError."""
    if words.word == "{":
        return _braces(words, depth)
    found = _concatenated(words, _literal)
    if words.word != ",":
        return found
    several = [found]
    while words.take(","):
        several.append(_literal(words))
    return several


def data(words: Words, depth: int = 0) -> Any:
    """The map, named or not, behind ``map`` and ``vmap``. Raises NftError."""
    return _braces(words, depth) if words.word == "{" else string(words.next())


def verdict(words: Words) -> dict[str, Any] | None:
    """A verdict, if the next word is one. Raises NftError."""
    if words.word in ("jump", "goto"):
        return {words.next(): {"target": string(words.next())}}
    if words.word in ("accept", "drop", "return", "continue"):
        return {words.next(): None}
    return None


def element(words: Words, value: Callable[[Words], Any]) -> Any:
    """An element's key with what is said of it, or a pair of that and what a map has for it. Raises NftError."""
    key = value(words)
    said: dict[str, Any] = {}
    while words.word in ("timeout", "expires", "comment", "counter"):
        what = words.next()
        if what == "counter":
            said[what] = counts(words)
        else:
            said[what] = string(words.next()) if what == "comment" else seconds(words.next())
    if said:
        key = {"elem": {"val": key, **said}}
    return [key, verdict(words) or value(words)] if words.take(":") else key


def counts(words: Words) -> dict[str, Any] | None:
    """What a counter has counted, where that is told. Raises NftError."""
    if not words.take("packets"):
        return None
    packets = literal(words.next())
    words.expect("bytes")
    return {"packets": packets, "bytes": literal(words.next())}


def _braces(words: Words, depth: int) -> Any:
    if depth > _DEEPEST:
        raise NftError("too many braces")
    words.expect("{")
    found = []
    while not words.take("}"):
        found.append(element(words, lambda more: wanted_of_one(more, depth + 1)))
        if words.word != "}":
            words.expect(",")
    return {"set": found}


def wanted_of_one(words: Words, depth: int = 0) -> Any:
    """The same as ``wanted`` where commas are between elements. Raises NftError."""
    return _braces(words, depth) if words.word == "{" else _concatenated(words, _literal)


def _concatenated(words: Words, part: Callable[[Words], Any]) -> Any:
    found = [_operated(words, part, 0)]
    while words.take("."):
        found.append(_operated(words, part, 0))
    return {"concat": found} if len(found) > 1 else found[0]


def _operated(words: Words, part: Callable[[Words], Any], level: int) -> Any:
    if level == len(_OPERATORS):
        return part(words)
    found = _operated(words, part, level + 1)
    many = 0
    while words.word in _OPERATORS[level]:
        many += 1
        if many > _LONGEST:
            raise NftError("too many operations")
        sign = words.next()
        found = {_SYMBOLS.get(sign, sign): [found, _operated(words, part, level + 1)]}
    return found


def _literal(words: Words) -> Any:
    if words.word in ("{", "}", "(", ")", ",", ";", "=", "==", "!=", "<", ">", "&", "|", "^", "!", ":", END):
        raise NftError("a value expected")
    return literal(words.next())


def _primary(words: Words, depth: int) -> Any:
    if depth > _DEEPEST:
        raise NftError("too many parentheses")
    if words.take("("):
        found = _concatenated(words, functools.partial(_primary, depth=depth + 1))
        words.expect(")")
        flags = _flags(found)
        return flags if len(flags) > 1 and all(isinstance(each, str) for each in flags) else found
    kind = words.word
    if kind in _META:
        return {"meta": {"key": words.next()}}
    if kind in _PROTOCOLS:
        found = {"protocol": words.next(), "field": words.next()}
        if found["field"] == "option":
            raise NftError("options are not known")
        return {"payload": found}
    if kind in _KINDS:
        words.next()
        return _KINDS[kind](words, depth)
    return _literal(words)


def _flags(found: Any) -> list[Any]:
    """The words of ``fin | syn``, which nft -j lists."""
    several: list[Any] = []
    while isinstance(found, dict) and "|" in found:
        found, last = found["|"]
        several.insert(0, last)
    return [found, *several]


def _meta(words: Words, _depth: int) -> Any:
    return {"meta": {"key": words.next()}}


def _ct(words: Words, _depth: int) -> Any:
    direction = words.next() if words.word in ("original", "reply") else ""
    key = words.next()
    if key in ("ip", "ip6"):
        key += " " + words.next()
    if key == "count":
        raise NftError("ct count is not known")
    return {"ct": {"key": key, **({"dir": direction} if direction else {})}}


def _fib(words: Words, _depth: int) -> Any:
    flags = [words.next()]
    while words.take("."):
        flags.append(words.next())
    return {"fib": {"result": words.next(), "flags": flags}}


def _socket(words: Words, _depth: int) -> Any:
    return {"socket": {"key": words.next()}}


def _numgen(words: Words, _depth: int) -> Any:
    return {"numgen": {"mode": words.next(), **_modulus(words)}}


def _jhash(words: Words, depth: int) -> Any:
    return {"jhash": {"expr": expression(words, depth + 1), **_modulus(words)}}


def _symhash(words: Words, _depth: int) -> Any:
    return {"symhash": _modulus(words)}


def _modulus(words: Words) -> dict[str, Any]:
    found: dict[str, Any] = {"offset": 0}
    while words.word in ("mod", "seed", "offset"):
        word = words.next()
        found[word] = literal(words.next())
        if not isinstance(found[word], int):
            raise NftError(f"{word} has no number")
    if not found.get("mod"):
        raise NftError("mod expected")
    return found


_KINDS: dict[str, Callable[[Words, int], Any]] = {
    "meta": _meta,
    "ct": _ct,
    "fib": _fib,
    "socket": _socket,
    "numgen": _numgen,
    "jhash": _jhash,
    "symhash": _symhash,
}
