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
from .allocation import Allocated
from .allocations_file import NOTHING_GIVEN, Allocations
from .checks import NO_CHECKS, Checks
from .input_files import Unreadable


class Compiled(NamedTuple):
    """What was compiled: numbers, and the warnings that there were. ``idle`` Services program no rules.

    ``diff``: the file of allocations before and after, as Ansible's ``--diff`` wants it; nothing where it is the same.
    """

    services: int
    idle: int
    endpoints: int
    not_ready: int
    warnings: Sequence[Fault]
    diff: Sequence[Mapping[str, str]] = []


def compile_catalogue(
    paths: Sequence[str],
    target: str,
    *,
    manifests: Sequence[Mapping[str, Any]] = (),
    hosts: Sequence[Mapping[str, Any]] = (),
    checks: Checks = NO_CHECKS,
    optional: bool = False,
    allocations: str = "",
    check: bool = False,
) -> Compiled:
    """Write the compiled catalogue of ``paths``, inline ``manifests`` and inventory ``hosts`` to ``target``.

    ``checks``: what the nodes' settings say about it. Raises InputError with every fault; then ``target`` is as it was.
    A file of before that is damaged or somebody else's is compiled anew. What Services are given is kept in the file
    ``allocations``, if one is named; ``check``: that one is not written.
    """
    if optional:
        paths = [path for path in paths if os.path.exists(path)]
    read = sources.read(paths, list(manifests))
    before = sources.allocations(allocations) if allocations else NOTHING_GIVEN
    _make_own_folder(target)

    def key(given: str) -> str:
        """Of all that went in. What Services were given is the same again only if it is known."""
        parts = [list(paths), read.texts, read.faults, manifests, hosts, checks, before.name, given]
        return _digest([__version__, compiled.FORMAT, *parts])

    kept = None if any(not fault.warning for fault in read.faults) else _kept(target, key(before.text))
    if kept:
        return kept
    found, warnings, allocated = sources.built(read, hosts, checks, before)
    warnings += sources.emptiness(found, paths, strict=checks.strict)
    diff, unwritten = _keep_allocations(before, allocated, check=check)
    endpoints = [end for service in found.services for piece in service.slices for end in piece.endpoints]
    done = Compiled(
        services=len(found.services),
        idle=len(found.idle),
        endpoints=len(endpoints),
        not_ready=sum(not endpoint.ready for endpoint in endpoints),
        warnings=warnings + unwritten,
        diff=diff,
    )
    text = compiled.text(found)
    # The key goes last: whoever finds it may rely on the catalogue beside it.
    owned_files.write({f"{target}.key": None})
    owned_files.write({target: text})
    if not diff or not (check or unwritten):
        numbers = {name: value for name, value in done._asdict().items() if name != "diff"}
        record = {"key": key(allocated.text if diff else before.text), "content": compiled.digest(text), **numbers}
        owned_files.write({f"{target}.key": seal.text(record).rstrip()})
    return done


def _keep_allocations(
    before: Allocations, allocated: Allocated, *, check: bool
) -> tuple[list[dict[str, str]], list[Fault]]:
    """Write the file of allocations where it is to change: how it does, and a warning where that was not possible."""
    if not allocated.differs(before):
        return [], []
    diff = owned_files.diff({before.name: allocated.text})
    try:
        if not check:
            owned_files.write({os.path.realpath(before.name): allocated.text})
    except OSError as error:
        return diff, [allocated.unwritten(before.name, f"cannot be written ({error.strerror})")]
    return diff, []


def _kept(target: str, key: str) -> Compiled | None:
    """What was compiled under this ``key``, or None: there was nothing, or either file is not as it was written."""
    try:
        record = seal.fields(input_files.own_content(f"{target}.key"))
        if record.pop("key") != key:
            return None
        if record.pop("content") != compiled.digest(input_files.own_content(target)):
            return None
        return Compiled(**{**record, "warnings": [Fault(*warning) for warning in record["warnings"]]})
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
