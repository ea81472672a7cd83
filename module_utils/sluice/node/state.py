"""What a node keeps between runs, below /var/lib/sluice.

* ``generations/N/``: the files of the last few applies, for a rollback.
* ``active``: the generation in force.
* ``record.json``: which generation the kernel held after the last apply, and what each layer needs to see that it
  still does, so that the next apply need not read it all again.
* what layers have to remember whatever happens, such as ``virtual-servers.json`` and ``drains.json``.
* ``unfinished``: there while an apply changes the kernel, and after one that did not come to its end.
* ``pending/``: what to put back if the last change is not confirmed in time.
* ``rolled-back.json``: says that this happened, until a change is confirmed.

None of it is needed to get the rules right: without it the kernel is read in full, and a rollback is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..backends.interface import Files, Layer, Memory
from ..system import linux, owned_files

ROOT = "/var/lib/sluice"
KEPT = 5
"""Generations that are kept."""

_GENERATIONS = f"{ROOT}/generations"
_ACTIVE = f"{ROOT}/active"
_RECORD = f"{ROOT}/record.json"
_UNFINISHED = f"{ROOT}/unfinished"
_PENDING = f"{ROOT}/pending"
_NOTE = f"{ROOT}/rolled-back.json"
_META = "generation.json"


class Last(NamedTuple):
    """What the last apply left: its files and their digest, and what the layers remember of it, by layer.

    ``records`` are there only where nothing speaks against the kernel still holding the files; then ``generation`` is
    theirs.
    """

    generation: int
    files: Files
    digest: str
    records: Mapping[str, Any]


def digest(files: Files) -> str:
    """A digest of files: names and contents."""
    found = hashlib.sha256()
    for name in sorted(files):
        data = files[name].encode()
        found.update(f"{name} {len(data)}\n".encode())
        found.update(data)
    return found.hexdigest()


def last() -> Last:
    """What the last apply left: by the record where it can be relied on, else the generation in force."""
    try:
        record = json.loads(owned_files.content(_RECORD) or "{}")
        generation, records = record["generation"], record["layers"]
        if record["place"] == linux.place():
            files = contents(generation)
            found = digest(files)
            if found == record["digest"]:  # else somebody has edited them
                return Last(generation, files, found, records)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    generation = active()
    files = contents(generation) if generation else {}
    if not intact(generation, files):
        files = {}
    return Last(generation, files, digest(files), {})


def set_record(generation: int, digest: str, records: Mapping[str, Any]) -> None:
    """Keep what the layers remember of the kernel with this generation in it; the older record goes."""
    record = {"place": linux.place(), "generation": generation, "digest": digest, "layers": records}
    owned_files.write({_RECORD: json.dumps(record)}, sync=False)


def forget_record() -> None:
    """Drop the record: what the kernel holds is not known for sure any more."""
    owned_files.write({_RECORD: None})


# --- what layers remember whatever happens


def memory(layer: Layer, records: Mapping[str, Any]) -> Memory:
    """What ``layer`` remembers; ``records`` are those of ``last``."""
    texts = {name: owned_files.content(f"{ROOT}/{name}") for name in layer.remembers}
    lasting = {name: json.loads(text) for name, text in texts.items() if text}
    return Memory(records.get(layer.name, {}), lasting)


def remember(layer: Layer, memory: Memory) -> None:
    """Keep what lasts of ``memory``; on the disk when this returns."""
    lasting = memory.lasting
    wanted = {f"{ROOT}/{name}": json.dumps(lasting[name]) if name in lasting else None for name in layer.remembers}
    owned_files.write(owned_files.differing(wanted))


def waiting(layers: Iterable[Layer]) -> list[str]:
    """The files that say that something waits for its connections."""
    paths = [f"{ROOT}/{layer.waiting}" for layer in layers if layer.waiting]
    return [path for path in paths if os.path.exists(path)]


# --- generations


def active() -> int:
    """The number of the generation in force, 0 where there is none."""
    text = owned_files.content(_ACTIVE) or ""
    return int(text) if text.strip().isdigit() and int(text) in _numbers() else 0


def set_active(generation: int) -> None:
    """Say which generation is in force."""
    owned_files.write({_ACTIVE: f"{generation}\n"}, sync=False)


def contents(generation: int) -> dict[str, str]:
    """The files of a generation."""
    return _read(f"{_GENERATIONS}/{generation}")


def previous(generation: int) -> int:
    """The generation that was in force before this one, 0 where none is kept."""
    meta = owned_files.content(f"{_GENERATIONS}/{generation}/{_META}")
    number = json.loads(meta).get("previous", 0) if meta else 0
    return number if number in _numbers() else 0


def intact(generation: int, files: Files) -> bool:
    """Whether ``files`` are what was kept as this generation: somebody may have edited them."""
    meta = owned_files.content(f"{_GENERATIONS}/{generation}/{_META}")
    return bool(meta) and json.loads(str(meta)).get("digest") == digest(files)


def prepare(files: Files, digest: str, before: int) -> int:
    """Write ``files``, with their digest, as a generation that follows ``before``; returns its number.

    It is none before it is kept.
    """
    number = max(_numbers(), default=0) + 1
    meta = {"previous": before, "time": _now(), "digest": digest}
    _write_new(f"{_GENERATIONS}/{number}", {**files, _META: json.dumps(meta)})
    return number


def keep(number: int) -> None:
    """Keep the generation that was prepared, as the one in force. The oldest go."""
    _put_in_place(f"{_GENERATIONS}/{number}")
    set_active(number)
    for old in sorted(_numbers())[:-KEPT]:
        shutil.rmtree(f"{_GENERATIONS}/{old}", ignore_errors=True)


def _numbers() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_GENERATIONS) if name.isdigit()]
    except FileNotFoundError:
        return []


# --- whether the last apply came to its end


def begin() -> None:
    """Say that an apply changes the kernel now. Until ``finish`` the active generation is the one before it."""
    owned_files.write({_UNFINISHED: ""}, sync=False)


def finish() -> None:
    """Say that the apply is complete."""
    owned_files.write({_UNFINISHED: None})


def unfinished() -> bool:
    """Whether the last apply was ended before its time."""
    return os.path.exists(_UNFINISHED)


# --- what waits for its confirmation


class Pending(NamedTuple):
    """A change that is not confirmed yet: what was before it, its name, when it is taken back, and by whom.

    ``contents`` is what the kernel (``place``) held, ``generation`` what the node's files said.
    """

    contents: dict[str, str]
    generation: int
    change: str
    deadline: float
    timer: str
    place: str


def pending() -> Pending | None:
    """The change that waits for its confirmation, or None."""
    meta = owned_files.content(f"{_PENDING}/{_META}")
    return None if meta is None else Pending(_read(_PENDING), **json.loads(meta))


def waits() -> bool:
    """Whether a change waits for its confirmation."""
    return os.path.exists(f"{_PENDING}/{_META}")


def set_pending(change: Pending) -> None:
    """Say that a change waits for its confirmation. Raises OSError; then the one that waited still does."""
    meta = change._asdict()
    _write_folder(_PENDING, {**meta.pop("contents"), _META: json.dumps(meta)})


def forget_pending() -> None:
    """The change is confirmed, or taken back."""
    # The file that makes it one goes first: half a folder is no pending change.
    owned_files.write({f"{_PENDING}/{_META}": None})
    shutil.rmtree(_PENDING, ignore_errors=True)


# --- the note of a rollback


def note() -> dict[str, Any] | None:
    """The note that an unconfirmed change was taken back: ``time`` and ``reason``."""
    text = owned_files.content(_NOTE)
    return json.loads(text) if text else None


def set_note(reason: str) -> None:
    """Leave the note for the next run."""
    owned_files.write({_NOTE: json.dumps({"time": _now(), "reason": reason})})


def forget_note() -> None:
    """A later change was confirmed."""
    owned_files.write({_NOTE: None})


def _read(folder: str) -> dict[str, str]:
    found = {}
    for name in os.listdir(folder):
        if name != _META:
            with open(f"{folder}/{name}", encoding="utf-8") as stream:
                found[name] = stream.read()
    return found


def _write_folder(folder: str, files: Files) -> None:
    """Write a folder whole: it is not there before all of it is."""
    _write_new(folder, files)
    _put_in_place(folder)


def _write_new(folder: str, files: Files) -> None:
    new = f"{folder}.new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    for name, text in files.items():
        with open(f"{new}/{name}", "w", encoding="utf-8") as stream:
            stream.write(text)


def _put_in_place(folder: str) -> None:
    owned_files.write({f"{folder}/{_META}": None})  # without it half a folder is none
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(f"{folder}.new", folder)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
