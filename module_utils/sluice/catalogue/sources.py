"""A catalogue from what a command or a role was given: manifests, a compiled catalogue, inventory hosts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..faults import Fault, InputError, strictly
from . import allocations_file, build, input_files, manifests
from . import compiled as compiled_form
from .allocation import Allocated
from .allocations_file import NOTHING_GIVEN, Allocations
from .build import Built
from .checks import NO_CHECKS, Checks
from .hosts import endpoint_hosts
from .input_files import Unreadable
from .model import Catalogue


def compiled_in(path: str) -> Catalogue | None:
    """The catalogue that the file ``path`` holds compiled, or None where it holds something else (or nothing).

    Raises InputError where it means to hold one that is not to be relied on.
    """
    try:
        # No other name, so that a pipe is read once, by whoever reads manifests; who also says what cannot be read.
        means_to = path.endswith(".json") and compiled_form.is_one(input_files.content(path))
    except Unreadable:
        means_to = False
    return compiled(path) if means_to else None


def compiled(path: str) -> Catalogue:
    """The catalogue that the file ``path`` holds compiled.

    Raises InputError where it holds none, is damaged, or may have been written by anybody else than us (or root).
    """
    return compiled_with_text(path)[0]


def compiled_with_text(path: str) -> tuple[Catalogue, str]:
    """The same, and the text that says it."""
    try:
        text = input_files.own_content(path)
        if not compiled_form.is_one(text):
            raise ValueError("there is no compiled catalogue in it")
        return compiled_form.load(text), text
    except (Unreadable, ValueError) as error:
        raise InputError([Fault(path, 0, "", "catalogue", str(error))]) from None


class Sources(NamedTuple):
    """What was given, before it is understood: files as (name, text), inline objects, faults in reading them."""

    texts: list[tuple[str, str]]
    objects: Sequence[Any]
    faults: list[Fault]


def allocations(path: str) -> Allocations:
    """What the file ``path`` says that Services were given; nothing where it is not there yet. Raises InputError."""
    if not os.path.lexists(path):
        return Allocations(path)
    try:
        text = input_files.content(path)
    except Unreadable as error:
        raise InputError([Fault(path, 0, "", "", f"cannot be read: {error}")]) from None
    return allocations_file.read(text, path)


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
    catalogue, warnings, _allocated = built(sources, hosts, checks)
    return catalogue, warnings


def built(
    sources: Sources,
    hosts: Iterable[Mapping[str, Any]] = (),
    checks: Checks = NO_CHECKS,
    given: Allocations = NOTHING_GIVEN,
) -> Built:
    """The same, and what its Services were given; ``given`` before."""
    found, faults = manifests.parse(sources.texts)
    more, more_faults = manifests.inline(sources.objects)
    found += more
    faults = sources.faults + faults + more_faults
    try:
        if not isinstance(hosts, Iterable) or isinstance(hosts, (str, Mapping)):
            raise InputError([Fault("inventory", 0, "", "sluice_endpoint_hosts", "must be a list of hosts")])
        selectable = endpoint_hosts(hosts, [node.name for node in checks.nodes])
    except InputError as error:
        faults, selectable = faults + error.faults, []
    result = build.build(found, selectable, checks, given, whole=all(fault.warning for fault in faults))
    faults += result.faults
    if checks.strict:
        faults = strictly(faults)
    return result._replace(catalogue=build.checked(result.catalogue, faults), faults=faults)


def ready(catalogue: Catalogue) -> Built:
    """What was compiled before, when its Services were given all that they lacked."""
    return Built(catalogue, [], Allocated(list(catalogue.services), {}, [], []))


def emptiness(catalogue: Catalogue, paths: Sequence[str], *, strict: bool = False) -> list[Fault]:
    """A warning where nothing that was read from ``paths`` is to be programmed: most likely they are the wrong ones.

    Raises InputError with it if ``strict``.
    """
    if catalogue.services or catalogue.host_ports:
        return []
    message = f"no Services in {', '.join(paths) or 'sluice_manifests'}: there is nothing to program"
    found = [Fault("catalogue", 0, "", "", message, warning=True)]
    if strict:
        raise InputError(strictly(found))
    return found
