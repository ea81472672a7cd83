"""Selectors of labels as kubectl takes them (``-l``): ``app=web,tier!=db,zone in (a,b),!old``.

A comma means and; ``=`` (``==``), ``!=``, ``in``, ``notin``, ``>`` and ``<``, a name alone (the label is there) and
``!name`` (it is not). As for Kubernetes, ``!=`` and ``notin`` hold where the label is not there at all.
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..faults import printable
from ..forms import SUBDOMAIN

_TOKEN = re.compile(r"\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)")
_SPECIAL = frozenset(("==", "!=", *"=!<>(),"))
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}")
"""Well within the 64 bits that Kubernetes has for it."""

_IN = {"=": True, "==": True, "in": True, "!=": False, "notin": False}
"""Whether the value has to be among those given, or must not be."""


class Requirement(NamedTuple):
    """What one label has to be. ``operator``: ``in``, ``notin`` (of ``values``), ``exists``, ``!``, ``>`` or ``<``."""

    name: str
    operator: str
    values: frozenset[str] = frozenset()
    bound: int = 0

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.name)
        if self.operator in ("exists", "!"):
            return (value is not None) == (self.operator == "exists")
        if self.operator in ("in", "notin"):
            return (value in self.values) == (self.operator == "in")
        if value is None or not _NUMBER.fullmatch(value):
            return False
        return int(value) > self.bound if self.operator == ">" else int(value) < self.bound


class Selector(NamedTuple):
    """All of ``requirements``; without any it takes everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)


def parse(text: str) -> Selector:
    """The selector that ``text`` is. Raises ValueError, which says in one line what is wrong with it."""
    words = _Words(_TOKEN.findall(text))
    found: list[Requirement] = []
    while words.left:
        found.append(_requirement(words))
        if words.left and words.next() != ",":
            raise words.wrong("a comma")
    if words.last == ",":
        raise ValueError("ends where a label should follow")
    return Selector(tuple(found))


class _Words:
    """The words of a selector, one after another. ``last`` is the one taken last, ``""`` behind the end."""

    def __init__(self, words: list[str]) -> None:
        self.left = words[::-1]
        self.last = ""

    def peek(self) -> str:
        return self.left[-1] if self.left else ""

    def next(self) -> str:
        self.last = self.left.pop() if self.left else ""
        return self.last

    def wrong(self, wanted: str) -> ValueError:
        """The word taken last is not ``wanted``."""
        if not self.last:
            return ValueError(f"ends where {wanted} should follow")
        return ValueError(f"{_short(self.last)} stands where {wanted} should")


def _requirement(words: _Words) -> Requirement:
    if words.peek() == "!":
        words.next()
        return Requirement(_label(words), "!")
    name = _label(words)
    operator = words.peek()
    if operator in ("", ","):
        return Requirement(name, "exists")
    words.next()
    if operator in ("<", ">"):
        given = _value(words)
        if not _NUMBER.fullmatch(given):
            raise ValueError(f"{operator} needs a whole number, is {_short(given)}")
        return Requirement(name, operator, bound=int(given))
    if operator not in _IN:
        raise words.wrong("an operator or a comma")
    values = _values(words) if operator in ("in", "notin") else [_value(words)]
    return Requirement(name, "in" if _IN[operator] else "notin", frozenset(values))


def _label(words: _Words) -> str:
    text = words.next()
    if not text or text in _SPECIAL:
        raise words.wrong("a label")
    prefix, slash, name = text.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not SUBDOMAIN.fullmatch(prefix)):
        raise ValueError(f"{_short(text)} is no name of a label")
    return text


def _value(words: _Words) -> str:
    """A value, which may be nothing."""
    if words.peek() in ("", ",", ")"):
        return ""
    text = words.next()
    if text in _SPECIAL:
        raise words.wrong("a value")
    if not _NAME.fullmatch(text):
        raise ValueError(f"{_short(text)} is no value of a label")
    return text


def _values(words: _Words) -> list[str]:
    """Values in parentheses."""
    if words.next() != "(":
        raise words.wrong("'('")
    if words.peek() == ")":
        raise ValueError("needs a value in its parentheses")
    found = [_value(words)]
    while words.next() == ",":
        found.append(_value(words))
    if words.last != ")":
        raise words.wrong("',' or ')'")
    return found


def _short(text: str) -> str:
    text = printable(text)
    return f"'{text}'" if len(text) <= 80 else f"'{text[:60]}…'"
