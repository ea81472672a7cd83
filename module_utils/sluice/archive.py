"""The engine as it comes to a node, in the archive of an Ansible module, and the same one as it is installed there."""

from __future__ import annotations

import os
import stat
import zlib
from types import ModuleType

LIBRARY = "/usr/local/lib/sluice"
"""Where a node has the engine installed; the package is the folder ``sluice`` below."""


def compiled(package: ModuleType) -> list[str]:
    """The ``__path__`` of the ``package``: where it is installed, if that is the same engine as in its archive.

    Python compiles what it takes out of an archive at each run, and that is most of what a run costs a node where
    there is nothing to do. What is installed is compiled already, and is taken only where no one but root could write.
    """
    archive, below = _origin(package)
    installed = os.path.join(LIBRARY, "sluice")
    if archive is None or not os.path.isdir(installed) or may_be_others():
        return list(package.__path__)
    from zipfile import ZipFile  # here, since only where there is an archive

    with ZipFile(archive) as opened:
        came = {entry.filename: entry.CRC for entry in opened.infolist() if entry.filename.startswith(below)}
    same = all(_checksum(os.path.join(installed, name[len(below) :])) == came[name] for name in came)
    return [installed] if same else list(package.__path__)


def sources(package: ModuleType) -> dict[str, str]:
    """The text of each module of the ``package``, by its file below it: from the archive, where it came in one."""
    archive, below = _origin(package)
    if archive is None:
        (root,) = package.__path__
        paths = [os.path.join(folder, name) for folder, _folders, names in os.walk(root) for name in names]
        return {os.path.relpath(path, root): _text(path) for path in paths if path.endswith(".py")}
    from zipfile import ZipFile

    with ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.startswith(below)]
        return {name[len(below) :]: opened.read(name).decode() for name in names}


def may_be_others() -> bool:
    """Whether others than root could write to what is installed; a module that is compiled already needs no source."""
    for folder, _folders, names in os.walk(LIBRARY):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            status = os.lstat(path)
            if not stat.S_ISLNK(status.st_mode) and (status.st_uid or status.st_mode & 0o022):
                return True
    return False


def _origin(package: ModuleType) -> tuple[str | None, str]:
    """The archive that the package came in, if any, and what the names of its files start with there."""
    return getattr(package.__loader__, "archive", None), f"{package.__name__.replace('.', '/')}/"


def _checksum(path: str) -> int | None:
    """CRC-32, as archives have it; None where there is no such file."""
    try:
        with open(path, "rb") as stream:
            return zlib.crc32(stream.read())
    except OSError:
        return None


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()
