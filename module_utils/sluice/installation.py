"""The engine on a node, for whoever has no Ansible at hand: a package, and a command that runs it."""

from __future__ import annotations

import compileall
import os
import pkgutil
import shutil
from types import ModuleType

from . import owned_files

LIBRARY = "/usr/local/lib/sluice"
COMMAND = "/usr/local/sbin/sluice"


def change(package: ModuleType, present: bool = True, python: str = "/usr/bin/python3") -> owned_files.Contents:
    """The files of the installation that are not yet (or, with ``present`` false, still) there."""
    folder = os.path.join(LIBRARY, "sluice")
    sources = _sources(package)
    there = [os.path.join(folder, name) for name in _listed(folder) if name.endswith(".py")]
    wanted: owned_files.Contents = dict.fromkeys([*there, COMMAND])
    if present:
        wanted.update({os.path.join(folder, name): text for name, text in sources.items()})
        wanted[COMMAND] = f'#!/bin/sh\nPYTHONPATH={LIBRARY} exec {python} -m sluice "$@"\n'
    return owned_files.differing(wanted)


def perform(contents: owned_files.Contents) -> None:
    """Write the files, compiled as well: the command runs at boot and in timers, where every tenth counts."""
    owned_files.write(contents)
    if contents.get(COMMAND):
        os.chmod(COMMAND, 0o755)
    if os.path.exists(COMMAND):
        compileall.compile_dir(LIBRARY, quiet=2)
    else:
        shutil.rmtree(LIBRARY, ignore_errors=True)


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
