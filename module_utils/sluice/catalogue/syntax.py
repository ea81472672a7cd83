"""Text to values: YAML and JSON, with limits, so that no text costs more than its length allows.

Of YAML the parser's events are read: PyYAML's trees of nodes would take a hundred times the memory of their text.

YAML is read as Kubernetes reads it: the scalars of YAML 1.1, but dates and numbers to the base of 60 stay text, and a
key that stands in a mapping twice is a fault. Only YAML needs PyYAML, which nodes do not have: they read JSON.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Union

MAX_DEPTH = 100
"""Levels of nesting: what reads them is recursive."""

MAX_ALIASED = 100_000
"""Values that aliases may repeat in one document: a few lines of them can stand for billions."""

MAX_DIGITS = 400
"""Longer numbers stay text: to convert a million digits takes minutes."""

BREAKS = "\\n\\x85\\u2028\\u2029"
"""What ends a line, and a comment, in YAML 1.1 (5.4), as a class of a regular expression."""

TWICE = "is there twice"
"""How the reason ends that a mapping has a key a second time, which others take as if it were all right."""

Path = Sequence[Union[str, int]]

_TAG = "tag:yaml.org,2002:"
_STR, _MERGE = f"{_TAG}str", f"{_TAG}merge"
_ANSIBLE_TAGS = ("!vault", "!unsafe")
"""A file of variables may hold these besides what is read here."""


class SyntaxFault(Exception):
    """Text that is neither YAML nor JSON; ``line`` counts from 1 within the text."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Part(NamedTuple):
    """A value, the part of a text that says it, and the line (from 0) of the text at which that part begins."""

    line: int
    text: str
    value: Any


def read(text: str) -> tuple[list[Part], list[SyntaxFault]]:
    """The values of all documents in ``text``, and what is wrong with it.

    JSON is tried first where it looks like it: it is 60 times as fast. Its values may follow one another, and a broken
    one does not hide the next.
    """
    parts, faults = _read(text, 0)
    if faults and text.startswith(_JSON, _skip(text, 0)):
        parts, faults = [], []
        begin = line = 0
        for end in (*(match.end() for match in _NEXT_OBJECT.finditer(text)), len(text)):
            more, wrong = _read(text[begin:end].rstrip(), line)
            parts += more
            faults += wrong
            line += text.count("\n", begin, end)
            begin = end
    return parts, faults


def line(text: str, path: Path) -> int:
    """The line (from 0) of ``text``, one document, at which ``path`` stands, or the nearest thing around it."""
    found, node = _places(text)
    for step in path:
        below = node.get(step)
        if below is None:
            break
        found, node = below
    return found


def _read(text: str, line: int) -> tuple[list[Part], list[SyntaxFault]]:
    """What ``text``, which begins at ``line``, holds up to its first fault: JSON as far as it is that, then YAML."""
    parts: list[Part] = []
    end, begin = 0, _skip(text, 0)
    while text.startswith(_JSON, begin):
        try:
            value, after = _DECODER.raw_decode(text, begin)
        except (ValueError, RecursionError):
            break  # flow style YAML begins alike; and for what is neither, its message has a line
        line += text.count("\n", end, begin)
        parts.append(Part(line, text[begin:after], value))
        line += text.count("\n", begin, after)
        end, begin = after, _skip(text, after)
    if begin == len(text):
        return parts, []
    if end and not text.startswith(_JSON, begin):
        line += text.count("\n", end, begin)
        return parts, [SyntaxFault(line + 1, "JSON syntax: text is left over after a value")]
    rest = text[end:]
    try:
        for value in _documents(rest, _Values):
            parts.append(Part(line, rest, value))
    except SyntaxFault as fault:
        return parts, [SyntaxFault(line + fault.line, fault.reason)]
    return parts, []


def _skip(text: str, begin: int) -> int:
    """Where the first thing after ``begin`` is that is neither space nor a comment."""
    nothing = _NOTHING.match(text, begin)
    return nothing.end() if nothing else begin


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_number)
_JSON = ("{", "[")
# In JSON, an object begins a line without one of ,[: before it only between two values.
_NEXT_OBJECT = re.compile(r"[^\s,\[:][^\S\n]*\n\s*(?=\{)")
_NOTHING = re.compile(rf"(?:[\s\ufeff]|#[^{BREAKS}]*)*")


@functools.lru_cache(maxsize=1)  # each fault of a document asks for its line
def _places(text: str) -> _Place:
    try:
        return next(_documents(text, _Places), (0, {}))
    except SyntaxFault:  # JSON that YAML does not take, or no PyYAML
        return 0, {}


def _documents(text: str, reader: Callable[[_Events], _Values | _Places]) -> Iterator[Any]:
    """What ``reader`` makes of the root of each document."""
    yaml, loader_class = _yaml()
    loader = None
    try:
        loader = loader_class(text)
        while not loader.check_event(yaml.StreamEndEvent):
            event = loader.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                yield reader(_Events(loader)).next()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0) or 0)
        reason = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
        place = min(place, text.count("\n"))  # what is missing at the end is missed on a line behind it
        if mark and text.split("\n")[place][mark.column : mark.column + 1] == "\t":
            reason = "a tab stands where only blanks may: YAML indents with blanks"
        raise SyntaxFault(place + 1, f"YAML syntax: {' '.join(reason.split())}") from None
    except ValueError as error:  # half a surrogate pair
        raise SyntaxFault(1, f"YAML syntax: {error}") from None
    finally:
        if loader:
            loader.dispose()


@functools.lru_cache(maxsize=1)
def _yaml() -> tuple[Any, Any]:
    """PyYAML, and its fastest loader."""
    try:
        import yaml
    except ImportError:
        raise SyntaxFault(1, "is not JSON, and PyYAML, which reads YAML, is not installed") from None
    return yaml, getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Events:
    """The events of one document."""

    def __init__(self, loader: Any) -> None:
        yaml = _yaml()[0]
        self._depth = 0
        self._ends = {
            yaml.MappingStartEvent: yaml.MappingEndEvent,
            yaml.SequenceStartEvent: yaml.SequenceEndEvent,
        }
        self.next: Callable[[], Any] = loader.get_event
        self.scalar, self.alias = yaml.ScalarEvent, yaml.AliasEvent
        self.mapping, self.sequence = self._ends

    def within(self, start: Any) -> Iterator[Any]:
        """The events that begin each entry of the collection that ``start`` began. Whoever gets one reads the entry."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _fault(start, f"nested more than {MAX_DEPTH} deep")
        end = self._ends[type(start)]
        event = self.next()
        while not isinstance(event, end):
            yield event
            event = self.next()
        self._depth -= 1


class _Values:
    """The values of one document. An alias gives the same value again, and is counted."""

    def __init__(self, events: _Events) -> None:
        self.events = events
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        self.count = 0
        self.aliased = 0

    def next(self) -> Any:
        return self.of(self.events.next())

    def of(self, event: Any) -> Any:
        """The value that ``event`` begins, and of a collection what follows."""
        events, kind = self.events, type(event)
        if kind is events.alias:
            return self._again(event)
        before = self.count
        if event.anchor:
            self.anchors[event.anchor] = None
        if kind is events.scalar:
            value = self._tagged(event)[1]
        elif kind is events.mapping:
            _check_tag(event, "map")
            value = self._mapping(event)
        else:
            _check_tag(event, "seq")
            value = [self.of(entry) for entry in events.within(event)]
            self.count += len(value)
        if event.anchor:
            self.anchors[event.anchor] = value, self.count - before
        return value

    def _tagged(self, event: Any) -> tuple[str, Any]:
        """The tag and the value of a scalar."""
        text, tag = event.value, event.tag
        if tag is None or tag == "!":
            if not event.implicit[0]:
                return _STR, text
            return _word(text) if len(text) < _WORD else _plain(text)
        try:
            return tag, _scalar(tag, text)
        except ValueError:
            raise _unknown(event) from None

    def _again(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            raise _fault(event, "found undefined alias")
        known = self.anchors[event.anchor]
        if known is None:
            raise _fault(event, "an alias stands in what it refers to")
        value, size = known
        self.count += size
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise _fault(event, f"aliases repeat more than {MAX_ALIASED} values")
        return value

    def _mapping(self, start: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        merged: list[dict[Any, Any]] = []
        scalar = self.events.scalar
        for event in self.events.within(start):
            self.count += 1
            if isinstance(event, scalar) and not event.anchor:
                tag, key = self._tagged(event)
                if tag == _MERGE:
                    merged += self._merged(self.events.next())
                    continue
            else:
                key = self.of(event)
            if not isinstance(key, Hashable):
                raise _fault(event, "a key must be text")
            if key in found:
                raise _fault(event, f"the key {key!r} {TWICE}")
            found[key] = self.of(self.events.next())
        for other in merged:
            for key, value in other.items():
                found.setdefault(key, value)
        return found

    def _merged(self, event: Any) -> Iterable[dict[Any, Any]]:
        """What ``<<`` brings in: a mapping, or a list of them."""
        value = self.of(event)
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, dict) for entry in several):
            raise _fault(event, "<< takes a mapping, or a list of them")
        return several


class _Places:
    """Where everything stands in one document: the line (from 0) of a value, and the places in it by key or index."""

    def __init__(self, events: _Events) -> None:
        self.events = events
        self.anchors: dict[str, _Place] = {}

    def next(self) -> _Place:
        return self.of(self.events.next())

    def of(self, event: Any) -> _Place:
        events, kind = self.events, type(event)
        start: int = event.start_mark.line
        if kind is events.alias:
            return self.anchors.get(event.anchor, (start, _NOWHERE))
        below: dict[Any, _Place] = {}
        if kind is events.sequence:
            below.update(enumerate(map(self.of, events.within(event))))
        elif kind is events.mapping:
            for key in events.within(event):
                place, _inside = self.of(key)
                _line, inside = self.of(events.next())
                below.setdefault(getattr(key, "value", None), (place, inside))
        found = start, below or _NOWHERE
        if event.anchor:
            self.anchors[event.anchor] = found
        return found


_Place = tuple[int, dict[Any, Any]]
_NOWHERE: dict[Any, Any] = {}
"""One for all values that have nothing in them."""


def _plain(text: str) -> tuple[str, Any]:
    """The tag and the value of text without quotes."""
    yaml = _yaml()[0]
    tag: str = _resolver().resolve(yaml.ScalarNode, text, (True, False))
    return tag, _scalar(tag, text)


@functools.lru_cache(maxsize=1)
def _resolver() -> Any:
    return _yaml()[0].resolver.Resolver()


_WORD = 64
_word = functools.lru_cache(maxsize=4096)(_plain)
"""The same few words stand in a catalogue again and again."""


def _fault(event: Any, reason: str) -> SyntaxFault:
    return SyntaxFault(event.start_mark.line + 1, f"YAML syntax: {reason}")


def _unknown(event: Any) -> SyntaxFault:
    """Without the tag itself: a password that nobody has put into quotes may look like one."""
    return _fault(event, "the tag is not known")


def _check_tag(event: Any, kind: str) -> None:
    if event.tag not in (None, "!", _TAG + kind):
        raise _unknown(event)


def _scalar(tag: str, text: str) -> Any:
    """The value of a scalar. Raises ValueError where the tag is not known."""
    kind = tag[len(_TAG) :] if tag.startswith(_TAG) else ""
    if kind in ("str", "timestamp", "value", "merge") or tag in _ANSIBLE_TAGS:
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    if kind in ("int", "float") and len(text) <= MAX_DIGITS and ":" not in text:
        try:
            return _number(text.replace("_", "").lower(), kind)
        except ValueError:
            return text  # `!!int x`
    if kind in ("int", "float"):
        return text
    raise ValueError("the tag is not known")


def _number(text: str, kind: str) -> int | float:
    if kind == "float":
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    digits = text.lstrip("+-")
    # YAML 1.1 writes octal numbers as C does.
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    return int(text, 8 if octal else 0)
