"""Compile a catalogue on the controller, and keep the result as long as nothing that went in changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import __version__, seal
from ..faults import Fault, InputError
from ..system import owned_files
from . import compiled, input_files, sources
from .checks import NO_CHECKS, Checks
from .input_files import Unreadable


class Compiled(NamedTuple):
    """What was compiled: numbers, and the warnings (as text or Fault) that there were."""

    services: int
    endpoints: int
    warnings: Sequence[object]


def compile_catalogue(
    paths: Sequence[str],
    target: str,
    *,
    manifests: Sequence[Mapping[str, Any]] = (),
    hosts: Sequence[Mapping[str, Any]] = (),
    checks: Checks = NO_CHECKS,
    optional: bool = False,
) -> Compiled:
    """Write the compiled catalogue of ``paths``, inline ``manifests`` and inventory ``hosts`` to ``target``.

    ``checks``: what the nodes' settings say about it. Raises InputError with every fault; then ``target`` is as it was.
    A file of before that is damaged or somebody else's is compiled anew.
    """
    if optional:
        paths = [path for path in paths if os.path.exists(path)]
    read = sources.read(paths, list(manifests))
    _make_own_folder(target)
    key = _digest([__version__, compiled.FORMAT, list(paths), read.texts, manifests, hosts, checks])
    kept = None if read.faults else _kept(target, key)
    if kept:
        return kept
    found, warnings = sources.catalogue_of(read, hosts, checks)
    warnings += sources.emptiness(found, paths)
    done = Compiled(
        services=len(found.services),
        endpoints=sum(len(piece.endpoints) for service in found.services for piece in service.slices),
        warnings=[str(warning) for warning in warnings],
    )
    text = compiled.text(found)
    record = {"key": key, "content": compiled.digest(text), **done._asdict()}
    # The key goes last: whoever finds it may rely on the catalogue beside it.
    owned_files.write({f"{target}.key": None})
    owned_files.write({target: text})
    owned_files.write({f"{target}.key": seal.text(record).rstrip()})
    return done


def _kept(target: str, key: str) -> Compiled | None:
    """What was compiled under this ``key``, or None: there was nothing, or either file is not as it was written."""
    try:
        record = seal.fields(input_files.own_content(f"{target}.key"))
        if record.pop("key") != key:
            return None
        if record.pop("content") != compiled.digest(input_files.own_content(target)):
            return None
        return Compiled(**record)
    except (Unreadable, ValueError, LookupError, TypeError):
        return None


def _make_own_folder(target: str) -> None:
    """The folder of ``target``, into which nobody else may write: what is read from there becomes rules.

    Raises InputError where it is there and others may.
    """
    folder = os.path.dirname(os.path.abspath(target))
    try:
        owned_files.make_folder(folder)
        input_files.check_own_folder(target)
    except Unreadable as error:
        raise InputError([Fault(target, 0, "", "catalogue", str(error))]) from None


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
