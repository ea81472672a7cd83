"""Compile a catalogue on the controller, and keep the result as long as nothing that went in changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import __version__
from ..system import owned_files
from . import model, sources
from .checks import NO_CHECKS, Checks


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
    """
    if optional:
        paths = [path for path in paths if os.path.exists(path)]
    read = sources.read(paths, list(manifests))
    key = _digest([__version__, model.FORMAT, read.texts, manifests, hosts, checks])
    kept = owned_files.content(f"{target}.key")
    if kept and os.path.exists(target):
        record = json.loads(kept)
        if record["key"] == key:
            return Compiled(record["services"], record["endpoints"], record["warnings"])
    found, warnings = sources.catalogue_of(read, hosts, checks)
    done = Compiled(
        services=len(found.services),
        endpoints=sum(len(piece.endpoints) for service in found.services for piece in service.slices),
        warnings=[str(warning) for warning in warnings],
    )
    # The key goes last: whoever finds it may rely on the catalogue beside it.
    owned_files.write({f"{target}.key": None})
    owned_files.write({target: model.compiled(found)})
    owned_files.write({f"{target}.key": json.dumps({"key": key, **done._asdict()})})
    return done


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
