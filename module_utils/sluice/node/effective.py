"""What the kernel is to hold of a node's files: all of it but for what is out (module outages).

Files are made anew from the catalogue that lies among them, by the same renderer. That is only done where they are
just what it makes of that catalogue: files that somebody has edited, or that another release wrote, stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backends.interface import Files
from ..outages import NO_OUTAGES, Outages
from ..system import owned_files
from . import files, state
from .files import Wanted
from .state import Programmed

if TYPE_CHECKING:
    from .rendering import Rendering


def effective(wanted: Wanted, outages: Outages) -> tuple[Wanted, list[str]]:
    """``wanted`` with what the kernel is to hold of it, and warnings: where an outage cannot be heeded, and why."""
    if not wanted.settings.get("health"):
        outages = outages._replace(down=frozenset())
    if outages == NO_OUTAGES or not wanted.layers:
        return wanted, []
    base = state.digest(wanted.contents, wanted.digests)
    made_of = owned_files.digest(f"{base} {outages.key}".encode())
    kept = state.programmed()
    if kept and kept.made_of == made_of:
        return wanted._replace(without=kept), []
    try:
        return wanted._replace(without=Programmed(made_of, outages.lines, _without(wanted, base, outages))), []
    except ValueError as error:
        return wanted, [f"{error}: what is out serves all the same"]


def _without(wanted: Wanted, base: str, outages: Outages) -> Files:
    """The files without what is out. Raises ValueError, which says why there are none."""
    return rendering(wanted, base).files(outages)


def rendering(wanted: Wanted, base: str) -> Rendering:
    """What makes ``wanted``, whose digest is ``base``. Raises ValueError, which says why nothing does."""
    from ..catalogue import compiled
    from ..faults import InputError
    from .rendering import Rendering

    try:
        if base not in _RENDERINGS:
            catalogue = compiled.load(wanted.contents[files.CATALOGUE_FILE])
            found = Rendering(catalogue, files.settings_of(wanted.contents))
            whole = found.files(NO_OUTAGES)
            if any(wanted.contents.get(name) != text for name, text in whole.items()):
                raise ValueError("the files are not what this release makes of their catalogue")
            _RENDERINGS.clear()
            _RENDERINGS[base] = found
        return _RENDERINGS[base]
    except KeyError:
        raise ValueError(f"{wanted.source}: there is no {files.CATALOGUE_FILE}") from None
    except InputError as error:
        raise ValueError(f"{wanted.source}: {error.faults[0]}") from None
    except ValueError as error:
        raise ValueError(f"{wanted.source}: {error}") from None


_RENDERINGS: dict[str, Rendering] = {}
"""The last one, by the digest of its files: a process that goes on changes what is out again and again."""
