"""Read manifests: files and folders of YAML or JSON, many documents a file, and say where each object stands."""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..faults import Fault, InputError
from . import input_files, syntax
from .input_files import Unreadable
from .syntax import Path

SUFFIXES = (".yml", ".yaml", ".json")
ALIKE = 0.7
"""From which likeness on (difflib) another ending is taken for a slip of the pen: ``.yam``, ``.YML``, ``.jsn``."""

LISTS = ("List", "ServiceList", "EndpointsList", "EndpointSliceList", "PodList", "NodeList")
"""Kinds of which no object comes out of here, unless its items are no list."""

# YAML's own, and with # right behind it, as kubectl takes it. Tabs behind it would be indentation to libyaml.
_SEPARATOR = re.compile(r"^(?:---(?![^\s#])|\.\.\.(?!\S))[ \t]*", re.MULTILINE)
# One way to match each line, or a line of many # would take for ever.
_NOTHING = re.compile(rf"(?:\s|[#%][^{syntax.BREAKS}]*(?:[{syntax.BREAKS}]|\Z)|---|\.\.\.)*")


class Document(NamedTuple):
    """One YAML document or JSON value: its text, and the line of its file at which that begins (from 1)."""

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

        Found by reading the document again, since only a fault asks. 0 where there is no file.
        """
        document = self.document
        return document.line + syntax.line(document.text, (*self.path, *path)) if document.line else 0


def read(paths: Sequence[str]) -> tuple[list[tuple[str, str]], list[Fault]]:
    """The files in ``paths`` (files, or folders, whose manifests come in the order of their names): name and text.

    With a fault for each path, folder and file that cannot be read.
    """
    texts: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for path in paths:
        for file in _files(path, faults):
            try:
                texts.append((file, input_files.content(file)))
            except Unreadable as error:
                faults.append(_unreadable(file, error))
    return texts, faults


def parse(texts: Iterable[tuple[str, str]]) -> tuple[list[Manifest], list[Fault]]:
    """All objects in files that ``read`` returned, Lists taken apart.

    With a fault for each syntax error in a document, or in a JSON value of several; the others are still there.
    """
    faults: list[Fault] = []
    manifests = [
        manifest
        for file, text in texts
        for document, value in _values(file, text, faults)
        for manifest in _objects(document, value, faults)
    ]
    return manifests, faults


def inline(objects: Any) -> tuple[list[Manifest], list[Fault]]:
    """The same of manifests that stand in a variable: a list of objects."""
    faults: list[Fault] = []
    values = objects if isinstance(objects, (list, tuple)) else [objects]
    found = [
        manifest
        for index, value in enumerate(values)
        for manifest in _objects(Document(f"sluice_manifests[{index}]", 0, ""), value, faults)
    ]
    return found, faults


def load_variables(path: str) -> dict[str, Any]:
    """A file of variables (YAML or JSON), such as a group_vars file. Raises InputError."""
    try:
        return mapping(path, input_files.content(path), "settings")
    except Unreadable as error:
        raise InputError([_unreadable(path, error)]) from None


def mapping(file: str, text: str, of: str) -> dict[str, Any]:
    """The one mapping ``of`` something that ``text`` is; an empty one where it holds nothing. Raises InputError."""
    faults: list[Fault] = []
    values = [value for _document, value in _values(file, text, faults)]
    if not faults and (len(values) > 1 or not all(isinstance(entry, dict) for entry in values)):
        faults.append(Fault(file, 1, "", "", f"must be one mapping of {of}"))
    if faults:
        raise InputError(faults)
    return dict(values[0]) if values else {}


def documents(file: str, text: str) -> Iterator[Document]:
    """The documents in ``text``, JSON values that follow one another as one. A line that begins with ``---`` or ``...``
    separates them wherever it stands (YAML 1.2, 9.1.2), so one with a syntax error does not hide the next."""
    line, begin = 1, 0
    for match in itertools.chain(_SEPARATOR.finditer(text), [None]):
        end = match.start() if match else len(text)
        piece = text[begin : _before_directives(text, begin, end) if match else end]
        if not _NOTHING.fullmatch(piece):
            yield Document(file, line, piece)
        line += text.count("\n", begin, end)
        begin = match.end() if match else end


def _before_directives(text: str, begin: int, end: int) -> int:
    """Where in ``text`` the directives begin that stand at the end of a document: those of the next one."""
    while (last := text.rfind("\n%", begin, end)) >= 0 and _NOTHING.fullmatch(text, last, end):
        end = last
    return end


def _unreadable(path: str, reason: object) -> Fault:
    return Fault(path, 0, "", "", f"cannot be read: {reason}")


def _files(path: str, faults: list[Fault]) -> Iterator[str]:
    def failed(error: OSError) -> None:
        faults.append(_unreadable(error.filename, error.strerror))

    if not os.path.isdir(path):
        try:
            os.lstat(path)
        except FileNotFoundError:
            faults.append(Fault(path, 0, "", "", "no such file or folder"))
            return
        except (OSError, ValueError):
            pass  # whoever opens it says the same
        yield path
        return
    # Does not follow links to folders, so none is walked for ever.
    for folder, folders, names in os.walk(path, onerror=failed):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            if name.endswith(SUFFIXES):
                yield file
            elif not name.endswith("~") and difflib.get_close_matches(
                os.path.splitext(name)[1].lower(), SUFFIXES, n=1, cutoff=ALIKE
            ):
                message = f"is not read: the names of manifests end with {', '.join(SUFFIXES)}"
                faults.append(Fault(file, 0, "", "", message, warning=True))


def _values(file: str, text: str, faults: list[Fault]) -> Iterator[tuple[Document, Any]]:
    """The values in a file that are not null, each with its document."""
    for document in documents(file, text):
        parts, broken = syntax.read(document.text)
        faults.extend(Fault(file, document.line + fault.line - 1, "", "", fault.reason) for fault in broken)
        for line, part, value in parts:
            if value is not None:
                yield Document(file, document.line + line, part), value


def _objects(document: Document, value: Any, faults: list[Fault]) -> Iterator[Manifest]:
    """The object, or the objects of a List, of the Lists in it and so on, as they stand.

    ``faults`` get a warning of a List that is only the first part of what was asked for (``limit`` of the API).
    """
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        path, value = waiting.pop()
        items = _items(value)
        if items is None:
            yield Manifest(document, path, value)
        else:
            if _goes_on(value):
                line = Manifest(document, path, value).line(("metadata", "continue"))
                message = "the list goes on: it is one part of what the API server has, ask without a limit"
                faults.append(Fault(document.file, line, "", "metadata.continue", message, warning=True))
            waiting.extend([((*path, "items", index), item) for index, item in enumerate(items)][::-1])


def _items(value: Any) -> list[Any] | None:
    """The items of a List; None where ``value`` is none, or one that whoever validates has to refuse.

    Those of the API's own lists do not say what they are: the list says it, and as in client-go's UnstructuredList,
    those that have neither ``apiVersion`` nor ``kind`` get both. As in Go, null stands for no items.
    """
    if not isinstance(value, dict) or value.get("kind") not in LISTS:
        return None
    items = value.get("items")
    kind = value["kind"][: -len("List")]
    if not isinstance(items, list):
        return [] if items is None else None
    if not kind:
        return items
    said = {"apiVersion": value.get("apiVersion"), "kind": kind}
    return [{**item, **said} if _says_nothing(item) else item for item in items]


def _goes_on(value: dict[str, Any]) -> bool:
    metadata = value.get("metadata")
    return isinstance(metadata, dict) and metadata.get("continue") not in (None, "")


def _says_nothing(item: Any) -> bool:
    return isinstance(item, dict) and all(item.get(key) in (None, "") for key in ("apiVersion", "kind"))
