"""Text to values: YAML and JSON, with limits, so that no text costs more than its length allows.

YAML is read as Kubernetes reads it: the scalars of YAML 1.1, but dates and numbers to the base of 60 stay text, and a
key that stands in a mapping twice is a fault. Only YAML needs PyYAML, which nodes do not have: they read JSON.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Union

MAX_DEPTH = 100
"""Levels of nesting. libyaml's composer is recursive C: what is nested without end would end the process."""

MAX_ALIASED = 100_000
"""Values that aliases may repeat in one document: a few lines of them can stand for billions."""

MAX_DIGITS = 400
"""Longer numbers stay text: to convert a million digits takes minutes."""

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


def values(text: str) -> list[Any]:
    """The values of all documents in ``text``. Raises SyntaxFault.

    JSON is tried first where it looks like it: it is 60 times as fast.
    """
    if text.lstrip()[:1] in ("{", "["):
        try:
            return [json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)]
        except (ValueError, RecursionError):
            pass  # flow style YAML begins alike; and for what is neither, its message has a line
    return [_Values().of(root) for root in _roots(text)]


def line(text: str, path: Path) -> int:
    """The line (from 0) of ``text``, one document, at which ``path`` stands, or the nearest thing around it."""
    try:
        root = _root(text)
    except SyntaxFault:  # JSON that YAML does not take, or no PyYAML
        return 0
    found = int(root.start_mark.line) if root else 0
    for step in path:
        below = _step(root, step)
        if below is None:
            break
        found, root = below
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


@functools.lru_cache(maxsize=1)  # each fault of a document asks for its line
def _root(text: str) -> Any:
    roots = _roots(text)
    return roots[0] if roots else None


def _roots(text: str) -> list[Any]:
    """The node trees of all documents."""
    yaml, loader_class = _yaml()
    loader = None
    try:
        loader = loader_class(text)
        roots = []
        while loader.check_node():
            roots.append(loader.get_node())
        return roots
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0) or 0)
        reason = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
        raise SyntaxFault(place + 1, f"YAML syntax: {' '.join(reason.split())}") from None
    except ValueError as error:  # half a surrogate pair
        raise SyntaxFault(1, f"YAML syntax: {error}") from None
    except RecursionError:  # the loader in Python, where PyYAML comes without libyaml
        raise SyntaxFault(1, f"YAML syntax: nested more than {MAX_DEPTH} deep") from None
    finally:
        if loader:
            loader.dispose()


@functools.lru_cache(maxsize=1)
def _yaml() -> tuple[Any, Any]:
    """PyYAML, and its fastest loader with a limit of depth."""
    try:
        import yaml
    except ImportError:
        raise SyntaxFault(1, "is not JSON, and PyYAML, which reads YAML, is not installed") from None
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        depth = 0

        def descend_resolver(self, current_node: Any, current_index: Any) -> None:
            """Called on the way down to each node; nothing here resolves tags by paths."""
            self.depth += 1
            if self.depth > MAX_DEPTH:
                mark = current_node.start_mark
                raise yaml.composer.ComposerError(None, None, f"nested more than {MAX_DEPTH} deep", mark)

        def ascend_resolver(self) -> None:
            self.depth -= 1

    return yaml, Loader


class _Values:
    """The values of one document's nodes. An alias gives the same value again, and is counted."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[Any, int] | None] = {}
        self.count = 0
        self.aliased = 0

    def of(self, node: Any) -> Any:
        if node.id == "scalar":
            return _scalar(node)
        if id(node) in self.seen:
            return self._again(node)
        self.seen[id(node)] = None
        before = self.count
        self.count += len(node.value)
        if node.id == "mapping":
            _check_tag(node, "map")
            value: Any = self._mapping(node)
        else:
            _check_tag(node, "seq")
            value = [entry.value if entry.tag == _STR else self.of(entry) for entry in node.value]
        self.seen[id(node)] = value, self.count - before
        return value

    def _again(self, node: Any) -> Any:
        known = self.seen[id(node)]
        if known is None:
            raise _fault(node, "an alias stands in what it refers to")
        value, size = known
        self.count += size
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise _fault(node, f"aliases repeat more than {MAX_ALIASED} values")
        return value

    def _mapping(self, node: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        merged: list[dict[Any, Any]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += self._merged(value_node)
                continue
            key = key_node.value if key_node.tag == _STR else self.of(key_node)
            if not isinstance(key, Hashable):
                raise _fault(key_node, "a key must be text")
            if key in found:
                raise _fault(key_node, f"the key {key!r} is there twice")
            found[key] = value_node.value if value_node.tag == _STR else self.of(value_node)
        for other in merged:
            for key, value in other.items():
                found.setdefault(key, value)
        return found

    def _merged(self, node: Any) -> Iterable[dict[Any, Any]]:
        """What ``<<`` brings in: a mapping, or a list of them."""
        value = self.of(node)
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, dict) for entry in several):
            raise _fault(node, "<< takes a mapping, or a list of them")
        return several


def _fault(node: Any, reason: str) -> SyntaxFault:
    return SyntaxFault(node.start_mark.line + 1, f"YAML syntax: {reason}")


def _check_tag(node: Any, kind: str) -> None:
    if node.tag != _TAG + kind:
        raise _fault(node, f"the tag {node.tag} is not known")


def _scalar(node: Any) -> Any:
    text: str = node.value
    kind = node.tag[len(_TAG) :] if node.tag.startswith(_TAG) else ""
    if kind in ("str", "timestamp", "value", "merge") or node.tag in _ANSIBLE_TAGS:
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
    raise _fault(node, f"the tag {node.tag} is not known")


def _number(text: str, kind: str) -> int | float:
    if kind == "float":
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    digits = text.lstrip("+-")
    # YAML 1.1 writes octal numbers as C does.
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    return int(text, 8 if octal else 0)


def _step(node: Any, step: str | int) -> tuple[int, Any] | None:
    """The line and the node behind one key or index, or None where there is none."""
    if isinstance(step, int):
        if node.id == "sequence" and step < len(node.value):
            return node.value[step].start_mark.line, node.value[step]
        return None
    if node.id == "mapping":
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line, value
    return None
