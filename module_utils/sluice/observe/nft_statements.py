"""Rules of nft(8)'s language, as ``nft -j`` writes them (libnftables-json(5)). Pure.

Of a rule that has something unknown here, all behind what it looks at first is kept as it stands, as
``{"unknown": TEXT}``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

from .nft_expressions import counts, data, element, expression, literal, seconds, verdict, wanted
from .nft_lexer import END, NftError, Words, string

_OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=", "not": "!"}
_SIGNS = frozenset(_OPERATORS.values())
_BITS = ({"ct": {"key": "state"}}, {"ct": {"key": "status"}}, {"payload": {"protocol": "tcp", "field": "flags"}})
_WHERE = re.compile(r"(\[[0-9a-f:]+\](?:-\[[0-9a-f:]+\])?|[0-9.]+(?:-[0-9.]+)?)(?::(\d+(?:-\d+)?))?")
_NAT_FLAGS = ("random", "fully-random", "persistent")


def rule(line: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """The statements of a rule, and its comment."""
    words = Words(line)
    found: list[dict[str, Any]] = []
    comment = ""
    begin = 0  # of the first statement that does something
    while words.word != END:
        try:
            if words.take("comment"):
                comment = string(words.next())
                continue
            found.append(_statement(words))
        except NftError:
            matches = list(itertools.takewhile(lambda each: "match" in each, found))
            return [*matches, {"unknown": words.rest(begin)}], comment
        if all("match" in each for each in found):
            begin = words.at
    return found, comment


def _statement(words: Words) -> dict[str, Any]:
    ended = verdict(words)
    if ended:
        return ended
    kind = words.word
    if kind in _KINDS:
        words.next()
        return {kind: _KINDS[kind](words)}
    if kind in ("add", "update", "delete"):
        return {"set": _change(words)}
    left = expression(words)
    if words.take("set"):
        if left == {"ct": {"key": "helper"}}:
            return {"ct helper": string(words.next())}
        return {"mangle": {"key": left, "value": expression(words)}}
    if words.take("vmap"):
        return {"vmap": {"key": left, "data": data(words)}}
    return {"match": _match(left, words)}


def _match(left: Any, words: Words) -> dict[str, Any]:
    sign = _OPERATORS.get(words.word, words.word)
    if sign in _SIGNS:
        words.next()
    else:
        sign = "in" if left in _BITS else "=="
    if isinstance(left, (int, str)):
        raise NftError(f"{left} is not known")
    right = wanted(words)
    if sign == "in" and isinstance(right, dict):
        sign = "=="
    if words.take("/"):  # tcp flags syn / syn,ack
        return {"op": "==" if sign == "in" else sign, "left": {"&": [left, wanted(words)]}, "right": right}
    return {"op": sign, "left": left, "right": {"missing": False, "exists": True}.get(str(right), right)}


def _change(words: Words) -> dict[str, Any]:
    operation = words.next()
    if not words.word.startswith("@"):
        raise NftError("a set expected")
    name = words.next()
    words.expect("{")
    changed = element(words, expression)
    words.expect("}")
    key, mapped = changed if isinstance(changed, list) else (changed, None)
    return {"op": operation, "elem": key, "set": name, **({} if mapped is None else {"data": mapped})}


def _counter(words: Words) -> Any:
    return string(words.next()) if words.take("name") else counts(words)


def _log(words: Words) -> Any:
    found: dict[str, Any] = {}
    while words.word in ("prefix", "level", "group", "snaplen", "queue-threshold", "flags"):
        what = words.next()
        found[what] = literal(words.next())
        while what == "flags" and (words.take(",") or words.word in ("sequence", "options")):
            words.next()
    return found or None


def _limit(words: Words) -> Any:
    if words.take("name"):
        return string(words.next())
    words.expect("rate")
    over = words.take("over")
    rate, slash, per = words.next().partition("/")
    if not slash:  # 10 mbytes/second
        _unit, slash, per = words.next().partition("/")
    if not slash or not rate.isdecimal():
        raise NftError("a rate expected")
    found: dict[str, Any] = {"rate": literal(rate), "per": per, **({"inv": True} if over else {})}
    if words.take("burst"):
        found["burst"] = literal(words.next())
        words.next()
    return found


def _reject(words: Words) -> Any:
    if not words.take("with"):
        return None
    kind = words.next()
    if kind == "tcp":
        words.expect("reset")
        return {"type": "tcp reset"}
    words.take("type")
    return {"type": kind, "expr": string(words.next())}


def _nat(words: Words) -> Any:
    found: dict[str, Any] = {}
    if words.word in ("ip", "ip6"):
        found["family"] = words.next()
    if words.take("to"):
        where = _WHERE.fullmatch(words.word)
        if where:
            words.next()
            found["addr"] = literal(where[1].replace("[", "").replace("]", ""))
            if where[2]:
                found["port"] = literal(where[2])
        elif not words.word.startswith(":"):
            found["addr"] = expression(words)
        if words.word.startswith(":"):
            port = words.next()[1:]
            if port[:1].isalpha():
                words.put_back(port)
            found["port"] = literal(port) if port[:1].isdigit() else expression(words)
    flags = []
    while words.word in _NAT_FLAGS:
        flags.append(words.next())
        words.take(",")
    if flags:
        found["flags"] = flags[0] if len(flags) == 1 else flags
    return found or None


def _flow(words: Words) -> Any:
    if not words.take("add", "offload"):
        raise NftError("add expected")
    return {"op": "add", "flowtable": words.next()}


def _queue(words: Words) -> Any:
    while words.word in ("num", "to", "flags", "bypass", "fanout", ",") or words.word[:1].isdigit():
        words.next()


def _last(words: Words) -> Any:
    if words.take("used") and not words.take("never"):
        seconds(words.next())


def _xt(words: Words) -> Any:
    while words.word != END:
        words.next()


def _nothing(_words: Words) -> Any:
    return None


_KINDS: dict[str, Callable[[Words], Any]] = {
    "counter": _counter,
    "log": _log,
    "limit": _limit,
    "reject": _reject,
    "masquerade": _nat,
    "redirect": _nat,
    "snat": _nat,
    "dnat": _nat,
    "flow": _flow,
    "notrack": _nothing,
    "queue": _queue,
    "last": _last,
    "xt": _xt,
}
