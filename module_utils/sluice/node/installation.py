"""The engine on a node, for whoever has no Ansible at hand: a package, a command that runs it, units that call it."""

from __future__ import annotations

import compileall
import os
import shutil
from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple

from .. import archive
from ..archive import LIBRARY
from ..health import privileges
from ..system import owned_files, tools, trust, users
from . import processes, units
from .units import COMMAND

SHARE = "/usr/local/share"

# Isolated (-I): neither the current directory nor PYTHONPATH may bring somebody else's code to root.
_SCRIPT = """\
#!{python} -I
import os
import sys

os.umask(0o022)  # Python, too, writes what it compiles
sys.path.insert(0, "{library}")

from sluice.__main__ import run

run()
"""


_OWN_PYTHON = "/usr/bin/python3"
"""The distribution's: what is taken instead of one that others may replace."""


_COMMENT = "asks the endpoints of Sluice"
"""By which the user of the checker is known again as ours."""


class Change(NamedTuple):
    """What an installation would write: files, and links of units (by path, whether they should be there).

    ``anew``: others may have put code among what is installed, so that all of it goes first. ``idle``: what should run
    all the time and was stopped by hand, or the other way round. ``user``: whether the checker's user is made (True) or
    removed. ``processes``: whether those of health should run without systemd; None where it sees to them.
    """

    files: owned_files.Contents
    links: dict[str, bool]
    units: dict[str, str | None]
    anew: bool = False
    idle: tuple[str, ...] = ()
    user: bool | None = None
    processes: bool | None = None

    def __bool__(self) -> bool:
        return bool(self.files or self.links or self.idle or self.user is not None)

    def lines(self) -> list[str]:
        """What it does, a line for each thing; for the modules of the engine one, as there are hundreds."""
        others = {path: text for path, text in self.files.items() if not path.startswith(f"{LIBRARY}/")}
        engine = len(self.files) - len(others)
        found = [f"{LIBRARY}: {engine} files"] if engine else []
        found += [f"{path}: {'removed' if text is None else 'written'}" for path, text in others.items()]
        found += [f"{path}: {'linked' if should else 'removed'}" for path, should in self.links.items()]
        found += [f"user {privileges.USER}: {'made' if self.user else 'removed'}"] if self.user is not None else []
        return found + [f"{each}: {'ended' if self.processes is False else 'started'}" for each in self.idle]


def change(
    package: ModuleType,
    python: str,
    *,
    present: bool,
    systemd: bool,
    repair_seconds: int = 0,
    health: bool = False,
    metrics: units.Metrics = units.NO_METRICS,
    documents: Mapping[str, str] | None = None,
) -> Change:
    """The files of the installation that are not yet (or, without ``present``, still) there. Raises NodeError.

    ``systemd``: whether the node runs it; without it there is nobody to call units. ``repair_seconds``: how often the
    node looks for drift by itself, 0 for never. ``health``: whether endpoints are asked if they answer.
    ``metrics``: where the node writes what it is, by a timer of systemd.
    ``documents``: what is there to be read, by its name below SHARE.
    """
    health = health and present
    documents = {os.path.join(SHARE, name): text for name, text in (documents or {}).items()}
    engine: owned_files.Contents = dict.fromkeys([*_installed(), COMMAND, *documents])
    if present:
        engine.update({f"{LIBRARY}/sluice/{name}": text for name, text in archive.sources(package).items()})
        engine.update(documents)
        engine[COMMAND] = _SCRIPT.format(python=_interpreter(python), library=LIBRARY)
    user = _user(health=health, present=present)
    checker = (privileges.USER if user or users.exists(privileges.USER) else privileges.NOBODY) if health else ""
    wanted_units = units.contents(repair_seconds, present=present, checker=checker, metrics=metrics) if systemd else {}
    anew = present and archive.may_be_others()
    files = {**(engine if anew else owned_files.differing(engine)), **owned_files.differing(wanted_units)}
    if present and not os.access(COMMAND, os.X_OK):
        files[COMMAND] = engine[COMMAND]
    links = units.links(wanted_units) if systemd else {}
    idle = () if files or links else units.stopped(wanted_units) if systemd else processes.differing(health)
    return Change(files, links, wanted_units, anew, tuple(idle), user, None if systemd else health)


def _user(*, health: bool, present: bool) -> bool | None:
    """Whether the checker's user is to be made, or removed; None where it stays as it is. A node may lack the means."""
    if health and users.may_make() and not users.exists(privileges.USER):
        return True
    if not present and users.may_remove() and users.is_ours(privileges.USER, _COMMENT):
        return False
    return None


def _interpreter(python: str) -> str:
    """The distribution's Python, whose name outlives an upgrade of it; ``python`` where that will not do.

    Raises NodeError where others than root may replace it: root runs it at each boot.
    """
    if _will_do(_OWN_PYTHON, python):
        return _OWN_PYTHON
    others = trust.others(python)
    if others:
        raise tools.NodeError(f"{python} could be replaced by {others}, and root would run it: set another interpreter")
    return python


def _will_do(interpreter: str, running: str) -> bool:
    """Whether ``interpreter`` is new enough, which it is asked only if it is not what is running, and nobody else's."""
    if not os.path.exists(interpreter) or trust.others(interpreter):
        return False
    if os.path.realpath(interpreter) == os.path.realpath(running):
        return True
    return not tools.run([interpreter, "-I", "-c", "import sys; sys.exit(sys.version_info < (3, 9))"]).returncode


def perform(wanted: Change) -> None:
    """Write the files, compiled as well: the command runs at boot and in timers, where every tenth counts."""
    if wanted.anew:
        shutil.rmtree(LIBRARY)
    if wanted.units:
        units.end(wanted.units)
        abandoned = units.abandoned(wanted.units)
        owned_files.write({abandoned: None} if abandoned else {}, sync=False)
    if wanted.files or wanted.user or not wanted.processes:
        # Those of an engine or a user that was, also where systemd runs the node now.
        processes.end()
    if wanted.user is False:
        users.remove(privileges.USER)
    owned_files.write(wanted.files)
    if wanted.files.get(COMMAND):
        os.chmod(COMMAND, 0o755)
    if os.path.exists(COMMAND):
        _remove_empty_folders()
        _compile()
    else:
        shutil.rmtree(LIBRARY, ignore_errors=True)
    if wanted.user:
        users.make(privileges.USER, _COMMENT)
    if wanted.units:
        units.perform(wanted.links, wanted.units, anew=bool(wanted.files))
    if wanted.processes:
        processes.start()


def _compile() -> None:
    umask = os.umask(0o022)  # it makes folders, by the umask of who runs this
    try:
        compileall.compile_dir(LIBRARY, quiet=2)
    finally:
        os.umask(umask)


def _installed() -> list[str]:
    """The modules that an earlier installation left, wherever that version had them."""
    return [
        os.path.join(folder, name)
        for folder, _folders, names in os.walk(LIBRARY)
        for name in names
        if name.endswith(".py")
    ]


def _remove_empty_folders() -> None:
    """Folders without a module, where an earlier version had some; what was compiled there goes as well."""
    for folder, _folders, _names in os.walk(LIBRARY, topdown=False):
        if os.path.basename(folder) == "__pycache__":
            continue
        if set(os.listdir(folder)) <= {"__pycache__"}:
            shutil.rmtree(folder)
