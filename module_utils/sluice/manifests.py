"""Read manifests: files and folders of YAML or JSON, many documents a file, and say where each object stands.

The one part of the engine that needs PyYAML, and only for YAML: nodes read JSON.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Union

from .faults import Fault, InputError

SUFFIXES = (".yml", ".yaml", ".json")

Path = Sequence[Union[str, int]]

_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_NOTHING = re.compile(r"(\s|#.*|%.*|---|\.\.\.)*")


class Document(NamedTuple):
    """One YAML document: its text, and the line of its file at which that begins (from 1)."""

    file: str
    line: int
    text: str


class Manifest(NamedTuple):
    """One object, and where it came from. ``path`` leads to it inside its document (an item of a List)."""

    document: Document
    path: tuple[str | int, ...]
    value: Any

    def line(self, path: Path) -> int:
        """The line at which ``path`` (relative to the object) stands, or the nearest thing around it.

        Found by reading the document again, since only a fault asks: 0 where there is no file.
        """
        return _line(self.document, (*self.path, *path))


def read(paths: Sequence[str]) -> tuple[list[tuple[str, str]], list[Fault]]:
    """The files in ``paths`` (files, or folders, whose manifests come in the order of their names): name and text.

    With a fault for each path and file that cannot be read.
    """
    texts: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for path in paths:
        files = list(_files(path))
        if not files and not os.path.isdir(path):
            faults.append(Fault(path, 0, "", "", "no such file or folder"))
        for file in files:
            try:
                with open(file, encoding="utf-8") as stream:
                    texts.append((file, stream.read()))
            except (OSError, UnicodeDecodeError) as error:
                faults.append(Fault(file, 0, "", "", f"cannot be read: {getattr(error, 'strerror', None) or error}"))
    return texts, faults


def parse(texts: Iterable[tuple[str, str]]) -> tuple[list[Manifest], list[Fault]]:
    """All objects in files that ``read`` returned, Lists taken apart.

    With a fault for each document that has a syntax error; the others are still there.
    """
    manifests: list[Manifest] = []
    faults: list[Fault] = []
    for file, text in texts:
        for document in documents(file, text):
            _load(document, manifests, faults)
    return manifests, faults


def inline(objects: Any, name: str = "sluice_manifests") -> list[Manifest]:
    """Manifests that stand in a variable: a list of objects."""
    values = objects if isinstance(objects, (list, tuple)) else [objects]
    return [
        manifest
        for index, value in enumerate(values)
        for manifest in _objects(Document(f"{name}[{index}]", 0, ""), (), value)
    ]


def load_variables(path: str) -> dict[str, Any]:
    """A file of variables (YAML or JSON), such as a group_vars file. Raises InputError."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        value = _parse(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InputError([Fault(path, 0, "", "", reason)]) from None
    except _SyntaxFault as error:
        raise InputError([Fault(path, error.line, "", "", error.reason)]) from None
    values = [entry for entry in value if entry is not None]
    if len(values) > 1 or not all(isinstance(entry, dict) for entry in values):
        raise InputError([Fault(path, 1, "", "", "must be one mapping of settings")])
    return dict(values[0]) if values else {}


def documents(file: str, text: str) -> Iterator[Document]:
    """The documents in ``text``. A line that begins with ``---`` separates them wherever it stands (YAML 1.2, 9.1.2),
    so a document with a syntax error does not hide the next one."""
    starts = [0, *(match.start() for match in _SEPARATOR.finditer(text)), len(text)]
    line = 1
    for begin, end in zip(starts, starts[1:]):
        piece = text[begin:end]
        if not _NOTHING.fullmatch(piece):
            yield Document(file, line, piece)
        line += piece.count("\n")


def _files(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield path
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(SUFFIXES))


def _load(document: Document, manifests: list[Manifest], faults: list[Fault]) -> None:
    try:
        values = _parse(document.text)
    except _SyntaxFault as error:
        faults.append(Fault(document.file, document.line + error.line - 1, "", "", error.reason))
        return
    for value in values:
        if value is not None:
            manifests.extend(_objects(document, (), value))


def _objects(document: Document, path: tuple[str | int, ...], value: Any) -> Iterator[Manifest]:
    """The object, or the objects of a List such as kubectl prints."""
    if isinstance(value, dict) and str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list):
        for index, item in enumerate(value["items"]):
            yield from _objects(document, (*path, "items", index), item)
    else:
        yield Manifest(document, path, value)


class _SyntaxFault(Exception):
    """Text that is neither YAML nor JSON; ``line`` counts from 1 within the text."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise _SyntaxFault(1, "is not JSON, and PyYAML, which reads YAML, is not installed") from None
    return yaml


def _parse(text: str) -> list[Any]:
    """The values of all documents in ``text``. JSON is tried first where it looks like it: it is 60 times as fast."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return [json.loads(text)]
        except ValueError:
            pass  # flow style YAML begins alike
    yaml = _yaml()
    try:
        return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise _SyntaxFault(mark.line + 1 if mark else 1, f"YAML syntax: {reason}") from None
    except (ValueError, RecursionError) as error:  # a date such as 2024-99-99; a document nested without end
        raise _SyntaxFault(1, f"YAML syntax: {error}") from None


def _line(document: Document, path: Path) -> int:
    if not document.line:
        return 0
    try:
        yaml = _yaml()
        node = yaml.compose(document.text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except Exception:  # several values in one piece, or no PyYAML: the document's line has to do
        return document.line
    line = node.start_mark.line if node else 0
    for step in path:
        found = _step(node, step)
        if found is None:
            break
        line, node = found
    return document.line + int(line)


def _step(node: Any, step: str | int) -> tuple[int, Any] | None:
    """The line and the node behind one key or index, or None where there is none."""
    if isinstance(step, int):
        if isinstance(node.value, list) and step < len(node.value) and node.id == "sequence":
            return node.value[step].start_mark.line, node.value[step]
        return None
    if node.id == "mapping":
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line, value
    return None
