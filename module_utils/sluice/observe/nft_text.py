"""Rules of a listing of nft -j, as nft(8) writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable

from .nft_values import DAMAGED

_FEW = 6
"""Elements of an anonymous set or map that are written out."""

_OPERATORS = {"==": "", "in": "", "!=": "!= ", "!": "! "}


def rule(statements: Iterable[Mapping[str, Any]]) -> str:
    """A rule. What has not the form in which nft -j prints it is told as it stands."""
    return " ".join(_told(kind, of) for each in statements for kind, of in each.items())


def _told(kind: str, of: Any) -> str:
    try:
        return statement(kind, of)
    except DAMAGED:
        return f"{kind} {of}"


def statement(kind: str, of: Any) -> str:
    if kind == "match":
        return f"{expression(of['left'])} {_OPERATORS.get(of['op'], of['op'] + ' ')}{expression(of['right'])}"
    if kind == "mangle":
        return f"{expression(of['key'])} set {expression(of['value'])}"
    if kind == "unknown":
        return str(of)
    if kind in ("jump", "goto"):
        return f"{kind} {of['target']}"
    if kind == "vmap":
        return f"{expression(of['key'])} vmap {expression(of['data'])}"
    if kind in ("dnat", "snat"):
        port = f":{expression(of['port'])}" if "port" in of else ""
        return f"{kind} to {expression(of.get('addr', ''))}{port}"
    if kind == "redirect" and isinstance(of, dict) and "port" in of:
        return f"redirect to :{expression(of['port'])}"
    if kind == "reject" and isinstance(of, dict) and of.get("expr") != "port-unreachable":
        return f"reject with {of['type']} {of.get('expr', '')}".rstrip()
    if kind == "set":
        return f"{of['op']} {of['set']} {{ {expression(of['elem'])} }}"
    return kind


def expression(of: Any) -> str:
    if isinstance(of, list):
        some = [expression(each) for each in of[:_FEW]]
        return "{ " + ", ".join(some + (["…"] if len(of) > _FEW else [])) + " }"
    if not isinstance(of, dict) or len(of) != 1:
        return str(of)
    ((kind, it),) = of.items()
    known = _KNOWN.get(kind)
    return known(it) if known else kind


def _fib(of: Mapping[str, Any]) -> str:
    flags = of["flags"]
    return f"fib {' . '.join(flags) if isinstance(flags, list) else flags} {of['result']}"


_KNOWN: Mapping[str, Callable[[Any], str]] = {
    "payload": lambda of: f"{of.get('protocol', '')} {of.get('field', '')}".strip(),
    "meta": lambda of: f"meta {of['key']}",
    "ct": lambda of: f"ct {of['key']}",
    "fib": _fib,
    "concat": lambda of: " . ".join(map(expression, of)),
    "&": lambda of: f"{expression(of[0])} & {expression(of[1])}",
    "|": lambda of: f"{expression(of[0])} | {expression(of[1])}",
    "^": lambda of: f"{expression(of[0])} ^ {expression(of[1])}",
    "numgen": lambda of: f"numgen {of['mode']} mod {of['mod']}",
    "jhash": lambda of: f"jhash {expression(of['expr'])} mod {of['mod']}",
    "map": lambda of: f"{expression(of['key'])} map {expression(of['data'])}",
    "prefix": lambda of: f"{of['addr']}/{of['len']}",
    "range": lambda of: f"{of[0]}-{of[1]}",
    "set": lambda of: expression(of if isinstance(of, list) else [of]),
    "elem": lambda of: expression(of["val"]),
}
