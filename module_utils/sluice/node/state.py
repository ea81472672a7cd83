"""What a node keeps between runs, below /var/lib/sluice.

* ``generations/N/``: the files of the last few applies, for a rollback.
* ``active``: the generation in force, since when, and who brought the node to it last.
* ``record.json``: which generation the kernel held after the last apply, and what each layer needs to see that it
  still does, so that the next apply need not read it all again.
* what layers have to remember whatever happens, such as ``virtual-servers.json`` and ``drains.json``.
* ``drained.json``: the addresses whose endpoints an operator drains (module outage).
* ``unfinished``: there while an apply changes the kernel, and after one that did not come to its end.
* ``pending/``: what to put back if the last change is not confirmed in time (module pending).
* ``rolled-back.json``: says that this happened, until a change is confirmed.
* ``last-error.json``: why the last apply failed, until one succeeds.

None of it is needed to get the rules right: without it the kernel is read in full, and a rollback is refused. What is
damaged counts as missing, and is set aside under a name that says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..backends.interface import Files, Form, Layer, Memory
from ..faults import printable
from ..system import linux, locks, owned_files
from ..system.tools import NodeError
from . import kept, origin
from .origin import Origin

ROOT = "/var/lib/sluice"
KEPT = 5
"""Generations that are kept."""

META = "generation.json"
"""The file beside those of a generation that says what it is: without it half a folder is none."""

_GENERATIONS = f"{ROOT}/generations"
_ACTIVE = f"{ROOT}/active"
_RECORD = f"{ROOT}/record.json"
_PROGRAMMED = f"{locks.RUN}/programmed"
_UNFINISHED = f"{ROOT}/unfinished"
_NOTE = f"{ROOT}/rolled-back.json"
_ERROR = f"{ROOT}/last-error.json"

_LONGEST = 1000
"""Characters that are kept of an error."""


class Last(NamedTuple):
    """What the last apply left: its files and their digest, and what the layers remember of it, by layer.

    ``records`` are there only where nothing speaks against the kernel still holding the files; then ``generation`` is
    theirs. No ``files``: there is no generation, or it is damaged. ``without``: what the kernel holds in their place
    while something is out.
    """

    generation: int
    files: Files
    digest: str
    records: Mapping[str, Any]
    without: Programmed | None = None

    @property
    def out(self) -> Sequence[str]:
        """What is out, a line each."""
        return self.without.out if self.without else ()

    @property
    def programmed(self) -> Files:
        """The files that the kernel holds."""
        return {**self.files, **self.without.files} if self.without else self.files


class Programmed(NamedTuple):
    """Files of layers that the kernel holds in the place of a node's own, and what is out, a line each.

    ``made_of``: a digest of what they were made of.
    """

    made_of: str
    out: Sequence[str]
    files: Files


def digest(files: Files, known: Mapping[str, str] | None = None) -> str:
    """A digest of files: names and contents. ``known``: the SHA-256 of some of them, by name."""
    digests = dict(known or {})
    digests.update((name, owned_files.digest(files[name].encode())) for name in files.keys() - digests.keys())
    return owned_files.digest("".join(f"{name} {digests[name]}\n" for name in sorted(files)).encode())


def is_digest(found: str, files: Files, known: Mapping[str, str] | None = None) -> bool:
    """Whether ``found`` is the digest of these files, also as an earlier version made it."""
    return found == digest(files, known) or found == _former_digest(files)


def _former_digest(files: Files) -> str:
    found = hashlib.sha256()
    for name in sorted(files):
        data = files[name].encode()
        found.update(f"{name} {len(data)}\n".encode())
        found.update(data)
    return found.hexdigest()


def last() -> Last:
    """What the last apply left: by the record where it can be relied on, else the generation in force."""
    record = kept.value(_RECORD, _is_record)
    if record and record["place"] == linux.place():
        generation = record["generation"]
        files, digests = _with_digests(generation)
        found = digest(files, digests)
        made_of = record.get("made_of", "")
        without = programmed() if made_of else None
        # Else somebody has edited them.
        if files and found == record["digest"] and (without.made_of if without else "") == made_of:
            return Last(generation, files, found, record["layers"], without)
    generation = active()
    return _last(generation, *_whole(generation))


def _last(generation: int, files: Files, digests: Mapping[str, str]) -> Last:
    return Last(generation, files, digest(files, digests), {})


def set_record(generation: int, digest: str, records: Mapping[str, Any], without: Programmed | None = None) -> None:
    """Keep what the layers remember of the kernel with this generation in it; the older record goes."""
    record = {"place": linux.place(), "generation": generation, "digest": digest, "layers": records}
    record["made_of"] = without.made_of if without else ""
    owned_files.write({_RECORD: kept.text(record)}, sync=False)


def programmed() -> Programmed | None:
    """What was kept of what the kernel holds in the place of a node's files; None where nothing is, or not all."""
    made_of = kept.value(f"{_PROGRAMMED}/{META}", _is_programmed)
    if made_of is None:
        return None
    try:
        files, digests = _read(_PROGRAMMED)
    except (OSError, UnicodeDecodeError):
        return None
    if digest(files, digests) != made_of["digest"]:
        return None
    return Programmed(made_of["made_of"], made_of["out"], files)


def set_programmed(found: Programmed | None) -> None:
    """Keep what the kernel holds in the place of a node's files, until the next boot. Raises OSError."""
    if found is None:
        shutil.rmtree(_PROGRAMMED, ignore_errors=True)
        return
    meta = {"made_of": found.made_of, "out": found.out, "digest": digest(found.files)}
    os.makedirs(locks.RUN, mode=0o700, exist_ok=True)
    write_beside(_PROGRAMMED, {**found.files, META: kept.text(meta)})
    put_in_place(_PROGRAMMED)


def _is_programmed(value: Any) -> bool:
    return _has(value, made_of=str, out=list, digest=str) and set(map(type, value["out"])) <= {str}


def forget_record() -> None:
    """Drop the record: what the kernel holds is not known for sure any more."""
    owned_files.write({_RECORD: None})


def _is_record(value: Any) -> bool:
    fields: dict[str, type] = {"place": str, "generation": int, "digest": str, "layers": dict}
    return _has(value, **fields) or _has(value, **fields, made_of=str)  # the former of an earlier version


def mend(layers: Iterable[Layer], *, check: bool = False) -> list[str]:
    """Set aside what is damaged, a line for each; with ``check`` only say so.

    The files of generations are looked at where one is used (``set_generation_aside``): they may be large.
    """
    forms: dict[str, Form] = {_RECORD: _is_record, _ACTIVE: _is_active, _NOTE: _is_note, _ERROR: _is_error}
    for layer in layers:
        forms.update((f"{ROOT}/{name}", form) for name, form in layer.remembers.items())
    found = [path for path, form in forms.items() if kept.damaged(path, form)]
    folders = [f"{_GENERATIONS}/{number}" for number in _numbers()]
    found += [folder for folder in folders if kept.value(f"{folder}/{META}", _is_meta) is None]
    return [kept.set_aside(path, check=check) for path in found]


def protect() -> None:
    """Take away others' right to write here, which an older version gave them by a careless umask. Raises OSError."""
    for folder, _folders, names in os.walk(ROOT):
        for path in (folder, *(f"{folder}/{name}" for name in names)):
            owned_files.protect(path)


def _has(value: Any, **fields: type) -> bool:
    """Whether ``value`` is an object of just these fields."""
    return (
        isinstance(value, dict)
        and value.keys() == fields.keys()
        and all(isinstance(value[name], kind) and not isinstance(value[name], bool) for name, kind in fields.items())
    )


# --- what layers remember whatever happens


def memory(layer: Layer, records: Mapping[str, Any]) -> Memory:
    """What ``layer`` remembers; ``records`` are those of ``last``."""
    values = {name: kept.value(f"{ROOT}/{name}", form) for name, form in layer.remembers.items()}
    lasting = {name: value for name, value in values.items() if value is not None}
    return Memory(records.get(layer.name, {}), lasting)


def remember(layer: Layer, memory: Memory) -> None:
    """Keep what lasts of ``memory``; on the disk when this returns."""
    lasting = memory.lasting
    wanted = {f"{ROOT}/{name}": kept.text(lasting[name]) if name in lasting else None for name in layer.remembers}
    owned_files.write(owned_files.differing(wanted))


def waiting(layers: Iterable[Layer]) -> list[str]:
    """The files that say that something waits for its connections."""
    paths = [f"{ROOT}/{layer.waiting}" for layer in layers if layer.waiting]
    return [path for path in paths if os.path.exists(path)]


# --- generations


class InForce(NamedTuple):
    """The generation in force, 0 where there is none; since when (as ``time`` is kept), and who brought the node to it.

    ``time`` is empty and ``origin`` None where an earlier version kept neither.
    """

    generation: int
    time: str = ""
    origin: Origin | None = None


def in_force() -> InForce:
    """The generation in force; the newest where it cannot be told or is lost."""
    numbers = _numbers()
    found = _in_force(kept.value(_ACTIVE, _is_active))
    if found is None or found.generation not in (0, *numbers):
        found = InForce(max(numbers, default=0))
    made = None if found.time else generation(found.generation)
    return InForce(found.generation, made.time, made.origin) if made else found


def active() -> int:
    """The number of the generation in force."""
    return in_force().generation


def set_active(generation: int, by: Origin) -> None:
    """Say which generation is in force from now on, and who brought the node to it."""
    set_in_force(InForce(generation, _now(), by))


def set_in_force(found: InForce) -> None:
    """Say which generation is in force, as ``in_force`` did."""
    value = {**found._asdict(), "origin": found.origin._asdict()} if found.origin else found.generation
    owned_files.write({_ACTIVE: kept.text(value)}, sync=False)


def _in_force(value: Any) -> InForce | None:
    if isinstance(value, dict):
        return InForce(value["generation"], value["time"], origin.parsed(value["origin"]))
    return None if value is None else InForce(value)


def _is_active(value: Any) -> bool:
    """As it is kept, or the number alone, which an earlier version kept."""
    if _has(value, generation=int, time=str, origin=dict):
        return value["generation"] >= 0 and origin.parsed(value["origin"]) is not None
    return isinstance(value, int) and value >= 0 and not isinstance(value, bool)


def contents(generation: int) -> dict[str, str]:
    """The files of a generation, none where it is not there or cannot be read."""
    return _with_digests(generation)[0]


def _with_digests(generation: int) -> tuple[dict[str, str], dict[str, str]]:
    """The files of a generation, and the SHA-256 of each."""
    try:
        return _read(f"{_GENERATIONS}/{generation}")
    except (OSError, UnicodeDecodeError):
        return {}, {}


def whole(generation: int) -> dict[str, str]:
    """The files of a generation; none where they are not what was kept."""
    return _whole(generation)[0]


def _whole(generation: int) -> tuple[dict[str, str], dict[str, str]]:
    meta, (files, digests) = _meta(generation), _with_digests(generation)
    return (files, digests) if meta and is_digest(meta["digest"], files, digests) else ({}, {})


def newest_whole() -> Last | None:
    """The generation in force, or the newest one where that is damaged, without records; None where there is none."""
    for generation in dict.fromkeys([active(), *sorted(_numbers(), reverse=True)]):
        files, digests = _whole(generation)
        if files:
            return _last(generation, files, digests)
    return None


def previous(generation: int) -> int:
    """The generation that was in force before this one, 0 where none is kept."""
    meta = _meta(generation)
    return meta["previous"] if meta and meta["previous"] in _numbers() else 0


class Generation(NamedTuple):
    """What is known of a generation but for its files: when it was made (ISO 8601), by whom, and which was before it.

    ``origin`` is None where an earlier version made it; ``previous`` may not be kept any more.
    """

    number: int
    time: str
    origin: Origin | None
    previous: int


def generations() -> list[Generation]:
    """Those that are kept, the newest first."""
    found = (generation(number) for number in sorted(_numbers(), reverse=True))
    return [each for each in found if each]


def generation(number: int) -> Generation | None:
    """What is known of a generation; None where it is not kept."""
    meta = _meta(number)
    return Generation(number, meta["time"], origin.parsed(meta.get("origin")), meta["previous"]) if meta else None


def set_generation_aside(generation: int) -> str:
    """A generation is damaged: it is none any more. The line that says so."""
    return kept.set_aside(f"{_GENERATIONS}/{generation}")


def prepare(files: Files, digest: str, before: int, by: Origin) -> int:
    """Write ``files``, with their digest, as a generation that follows ``before``; returns its number.

    It is none before it is kept.
    """
    number = max(_numbers(), default=0) + 1
    meta = {"previous": before, "time": _now(), "digest": digest, "origin": by._asdict()}
    write_beside(f"{_GENERATIONS}/{number}", {**files, META: kept.text(meta)})
    return number


def keep(number: int, by: Origin) -> None:
    """Keep the generation that was prepared, as the one in force. The oldest go."""
    put_in_place(f"{_GENERATIONS}/{number}")
    set_active(number, by)
    for old in sorted(_numbers())[:-KEPT]:
        shutil.rmtree(f"{_GENERATIONS}/{old}", ignore_errors=True)


def _meta(generation: int) -> dict[str, Any] | None:
    return kept.value(f"{_GENERATIONS}/{generation}/{META}", _is_meta)


def _is_meta(value: Any) -> bool:
    if _has(value, previous=int, time=str, digest=str, origin=dict):
        return origin.parsed(value["origin"]) is not None
    return _has(value, previous=int, time=str, digest=str)  # of an earlier version


def _numbers() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_GENERATIONS) if name.isdigit()]
    except OSError:
        return []


# --- whether the last apply came to its end


def begin(name: str) -> None:
    """Say that the apply of this name changes the kernel now. Until ``finish``, flows of before may be left."""
    owned_files.write({_UNFINISHED: name}, sync=False)


def finish(name: str) -> None:
    """Say that the apply of this name is complete; another one may have begun meanwhile."""
    with open(_UNFINISHED, encoding="utf-8", errors="replace") as stream:
        if stream.read() not in ("", name):
            return
    owned_files.write({_UNFINISHED: None})


def unfinished() -> bool:
    """Whether the last apply was ended before its time."""
    return os.path.exists(_UNFINISHED)


# --- the note of a rollback


def note() -> dict[str, Any] | None:
    """The note that an unconfirmed change was taken back: ``time`` and ``reason``."""
    return kept.value(_NOTE, _is_note)


def set_note(reason: str) -> None:
    """Leave the note for the next run."""
    owned_files.write({_NOTE: kept.text({"time": _now(), "reason": reason})})


def forget_note() -> None:
    """A later change was confirmed."""
    owned_files.write({_NOTE: None})


def _is_note(value: Any) -> bool:
    return _has(value, time=str, reason=str)


# --- the last error


def error() -> dict[str, Any] | None:
    """Why the last apply failed, ``time`` and ``message``; None where it did not."""
    return kept.value(_ERROR, _is_error)


@contextlib.contextmanager
def keeping_errors() -> Iterator[None]:
    """Keep why it failed for whoever asks later, and let the error go on."""
    try:
        yield
    except NodeError as fault:
        with contextlib.suppress(OSError):
            message = printable(str(fault))[:_LONGEST]
            owned_files.write({_ERROR: kept.text({"time": _now(), "message": message})}, sync=False)
        raise


def forget_error() -> None:
    """An apply has succeeded."""
    owned_files.write({_ERROR: None})


def _is_error(value: Any) -> bool:
    return _has(value, time=str, message=str)


# --- folders, which are there whole or not at all


def read_folder(folder: str) -> dict[str, str]:
    """The files of a folder but for META. Raises OSError, and UnicodeDecodeError where one is no text."""
    return _read(folder)[0]


def _read(folder: str) -> tuple[dict[str, str], dict[str, str]]:
    """The files, and the SHA-256 of each."""
    names = sorted(name for name in os.listdir(folder) if name != META)
    now = [os.stat(f"{folder}/{name}") for name in names]
    versions = [(name, each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for name, each in zip(names, now)]
    kept = _FOLDERS.pop(folder, None)
    if not kept or kept[0] != versions:
        found = {name: owned_files.with_digest(f"{folder}/{name}") for name in names}
        texts = {name: text for name, (text, _digest) in found.items()}
        kept = versions, texts, {name: each[1] for name, each in found.items()}
    _FOLDERS[folder] = kept
    while len(_FOLDERS) > _FOLDERS_KEPT:
        del _FOLDERS[next(iter(_FOLDERS))]
    return dict(kept[1]), dict(kept[2])


_FOLDERS: dict[str, tuple[list[tuple[str, int, int, int, int]], dict[str, str], dict[str, str]]] = {}
"""What was read last: megabytes that a process which goes on need not read again. A file changes as it is replaced."""

_FOLDERS_KEPT = 2


def write_beside(folder: str, files: Files) -> None:
    """Write what ``folder`` is going to be, beside it. Raises OSError."""
    new = f"{folder}.new"
    if os.path.isdir(new):
        shutil.rmtree(new)
    owned_files.make_folder(new)
    for name, text in files.items():
        with open(f"{new}/{name}", "w", encoding="utf-8", opener=owned_files.exclusive) as stream:
            stream.write(text)


def put_in_place(folder: str) -> None:
    """Put what was written beside in the place of ``folder``. Raises OSError."""
    owned_files.write({f"{folder}/{META}": None})
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(f"{folder}.new", folder)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
