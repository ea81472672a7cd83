"""The engine on a node, for whoever has no Ansible at hand: a package, a command that runs it, units that call it."""

from __future__ import annotations

import compileall
import os
import pkgutil
import shutil
from types import ModuleType
from typing import NamedTuple

from . import owned_files, units
from .units import COMMAND

LIBRARY = "/usr/local/lib/sluice"


class Change(NamedTuple):
    """What an installation would write: files, and links of units (by path, whether they should be there)."""

    files: owned_files.Contents
    links: dict[str, bool]
    units: dict[str, str | None]

    def __bool__(self) -> bool:
        return bool(self.files or self.links)


def change(package: ModuleType, python: str, *, present: bool, systemd: bool, repair_seconds: int = 0) -> Change:
    """The files of the installation that are not yet (or, without ``present``, still) there.

    ``systemd``: whether the node runs it; without it there is nobody to call units. ``repair_seconds``: how often the
    node looks for drift by itself, 0 for never.
    """
    folder = os.path.join(LIBRARY, "sluice")
    there = [os.path.join(folder, name) for name in _listed(folder) if name.endswith(".py")]
    wanted: owned_files.Contents = dict.fromkeys([*there, COMMAND])
    if present:
        wanted.update({os.path.join(folder, name): text for name, text in _sources(package).items()})
        wanted[COMMAND] = f'#!/bin/sh\nPYTHONPATH={LIBRARY} exec {python} -m sluice "$@"\n'
    wanted_units = units.contents(repair_seconds, present=present) if systemd else {}
    wanted.update(wanted_units)
    return Change(owned_files.differing(wanted), units.links(wanted_units) if systemd else {}, wanted_units)


def perform(wanted: Change) -> None:
    """Write the files, compiled as well: the command runs at boot and in timers, where every tenth counts."""
    owned_files.write(wanted.files)
    if wanted.files.get(COMMAND):
        os.chmod(COMMAND, 0o755)
    if os.path.exists(COMMAND):
        compileall.compile_dir(LIBRARY, quiet=2)
    else:
        shutil.rmtree(LIBRARY, ignore_errors=True)
    if wanted.units:
        units.perform(wanted.links, wanted.units)


def _sources(package: ModuleType) -> dict[str, str]:
    """The package's modules, by file name, whether it lies in a folder or in the archive that a module came in."""
    names = ["__init__"] + [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = {}
    for name in names:
        data = pkgutil.get_data(package.__name__, f"{name}.py")
        if data is not None:
            found[f"{name}.py"] = data.decode()
    return found


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
