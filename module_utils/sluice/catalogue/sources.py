"""A catalogue from what a command or a role was given: manifests, a compiled catalogue, inventory hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..faults import Fault, InputError
from . import build, manifests
from .checks import NO_CHECKS, Checks
from .hosts import endpoint_hosts
from .model import Catalogue, load_compiled


def compiled_in(path: str) -> Catalogue | None:
    """The catalogue that the file ``path`` holds compiled, or None where it holds something else (or nothing)."""
    try:
        with open(path, encoding="utf-8") as stream:
            return load_compiled(stream.read()) if path.endswith(".json") else None
    except (OSError, UnicodeDecodeError):
        return None


def compiled(path: str) -> Catalogue:
    """The catalogue that the file ``path`` holds compiled. Raises InputError where it holds none."""
    found = compiled_in(path)
    if found is None:
        raise InputError([Fault(path, 0, "", "catalogue", "there is no compiled catalogue in it")])
    return found


class Sources(NamedTuple):
    """What was given, before it is understood: files as (name, text), inline objects, faults in reading them."""

    texts: list[tuple[str, str]]
    objects: Sequence[Any]
    faults: list[Fault]


def read(paths: Sequence[str], objects: Sequence[Any] = ()) -> Sources:
    """Read manifests in ``paths``, and take inline ``objects``."""
    texts, faults = manifests.read(paths)
    return Sources(texts, objects, faults)


def catalogue_of(
    sources: Sources, hosts: Iterable[Mapping[str, Any]] = (), checks: Checks = NO_CHECKS
) -> tuple[Catalogue, list[Fault]]:
    """The catalogue of ``sources`` and of inventory ``hosts``, with its warnings.

    Raises InputError with every fault of every source.
    """
    found, faults = manifests.parse(sources.texts)
    found += manifests.inline(sources.objects)
    faults = sources.faults + faults
    try:
        if not isinstance(hosts, Iterable) or isinstance(hosts, (str, Mapping)):
            raise InputError([Fault("inventory", 0, "", "sluice_endpoint_hosts", "must be a list of hosts")])
        selectable = endpoint_hosts(hosts)
    except InputError as error:
        faults, selectable = faults + error.faults, []
    catalogue, more = build.build(found, selectable, checks)
    return build.checked(catalogue, faults + more), faults + more
