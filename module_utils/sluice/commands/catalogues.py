"""The commands that make something of a catalogue on the controller: ``render``, ``validate``, ``allocate``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ..backends.registry import BACKENDS
from ..faults import Fault, InputError, printable
from ..system import owned_files
from ..system.tools import NodeError
from . import output

if TYPE_CHECKING:
    from ..catalogue.allocations_file import Allocations
    from ..catalogue.build import Built
    from ..catalogue.model import Catalogue
    from ..settings import Settings

_OF_AN_INVENTORY = ("hosts.yml", "hosts.yaml", "hosts.ini", "group_vars", "host_vars")


def render(arguments: argparse.Namespace) -> int:
    """Write the files of one node."""
    from .. import render
    from ..catalogue import compiled

    catalogue, settings = of_manifests(arguments, {"sluice_backend": arguments.backend} if arguments.backend else {})
    output.put(arguments.out, render.render(render.views(catalogue, settings), settings, compiled.text(catalogue)))
    return output.FINE


def validate(arguments: argparse.Namespace) -> int:
    """Say what is wrong with manifests, or with an inventory."""
    for path in arguments.manifests:
        if any(os.path.exists(os.path.join(path, name)) for name in _OF_AN_INVENTORY):
            raise NodeError(f"{printable(path)}: is an inventory, not a folder of manifests: -i {printable(path)}")
    if arguments.manifests:
        of_manifests(arguments, {})
    elif arguments.inventory:
        of_inventory(arguments.inventory, strict=arguments.strict)
    else:
        raise NodeError("validate: name manifests, or an inventory (--inventory)")
    return output.FINE


def of_inventory(path: str, *, strict: bool = False) -> Catalogue:
    """The catalogue of an inventory, whose warnings are printed."""
    from .. import inventory

    found, warnings = inventory.compiled(path, strict=strict)
    output.print_faults(warnings)
    return found


def allocate(arguments: argparse.Namespace) -> int:
    """Give Services what they do not declare, and say what is new."""
    built, _settings, before = _built(arguments, {})
    differs = built.allocated.differs(before)
    lines, kept = built.allocated.text.splitlines(), before.text.splitlines()
    removed, added = sorted(set(kept) - set(lines)), sorted(set(lines) - set(kept))
    for line in sorted(removed + added, key=lambda line: (line.partition(":")[0], line in added)):
        if differs and not line.startswith("#"):
            output.say(f"{'+' if line in added else '-'} {line}")
    if differs and not arguments.check:
        owned_files.write({os.path.realpath(arguments.allocations): built.allocated.text})
    output.say(f"changed={int(differs)}")
    return output.FINE


def of_manifests(
    arguments: argparse.Namespace, override: dict[str, str], *, to_program: bool = True
) -> tuple[Catalogue, Settings]:
    """The catalogue and settings that the arguments name. Faults of both are raised together.

    ``to_program``: one that would program nothing gets a warning.
    """
    built, settings, before = _built(arguments, override, to_program=to_program)
    if before.name and built.allocated.new:
        reason = "does not have all of them yet, `sluice allocate` writes it" if before.text else "is not there yet"
        output.complain(built.allocated.unwritten(before.name, reason))
    return built.catalogue, settings


def _built(
    arguments: argparse.Namespace, override: dict[str, str], *, to_program: bool = True
) -> tuple[Built, Settings, Allocations]:
    """The same, with what its Services were given now and before."""
    from .. import render
    from .. import settings as settings_module
    from ..catalogue import manifests, sources
    from ..catalogue.allocations_file import NOTHING_GIVEN

    faults: list[Fault] = []
    settings, hosts = settings_module.Settings(), ()
    if arguments.settings:
        try:
            variables = {**manifests.load_variables(arguments.settings), **override}
            hosts = variables.get("sluice_endpoint_hosts") or ()
            settings, warnings = settings_module.from_variables(variables, arguments.settings, backends=BACKENDS)
            output.print_faults(warnings)
        except InputError as error:
            faults = error.faults
    strict = settings.strict or getattr(arguments, "strict", False)
    before = NOTHING_GIVEN
    try:
        before = sources.allocations(arguments.allocations) if arguments.allocations else NOTHING_GIVEN
    except InputError as error:
        faults += error.faults
    try:
        ready = sources.compiled_in(arguments.manifests[0]) if len(arguments.manifests) == 1 else None
        if ready is not None:
            built = sources.ready(ready)
        else:
            checks = render.checks_for([settings] if arguments.settings else [])
            built = sources.built(sources.read(arguments.manifests), hosts, checks._replace(strict=strict), before)
    except InputError as error:
        raise InputError(faults + error.faults) from None
    warnings = built.faults
    if to_program:
        warnings = warnings + sources.emptiness(built.catalogue, arguments.manifests, strict=strict)
    output.print_faults(warnings)
    if faults:
        raise InputError(faults)
    return built, settings, before
