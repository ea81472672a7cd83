"""How a node's files differ from those that were in force, for people: the backend, then Services; rules come later."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..backends.interface import Change, Files
from .files import CATALOGUE_FILE, setting

if TYPE_CHECKING:
    from ..catalogue.model import Catalogue

# What reads a catalogue is imported where it is used: an apply that nobody asks for its difference does not.

NAMED = 5
"""How many Services or outages a line names."""

_COMMENT = re.compile(r'\bcomment "?([a-z0-9-]+/[a-z0-9-]+(?::[a-z0-9-]*)?)')
"""The service port that a rule or an element is of, as kube-proxy's comments begin."""


def backend(files: Files, unknown: str = "") -> str:
    """The backend that ``files`` are for, ``""`` for none; ``unknown`` where they do not say."""
    found = setting(files, "backend")
    return found if isinstance(found, str) else unknown


def services(before: Files, after: Files) -> list[str]:
    """What changed by Service, a line each (``catalogue.changes.lines``); one line where that cannot be known.

    No files, and those of a node that holds nothing of Sluice, are an empty catalogue.
    """
    if before.get(CATALOGUE_FILE) == after.get(CATALOGUE_FILE):
        return []
    return list(_by_service(_text(before), _text(after)))


def _text(files: Files) -> str:
    """The compiled catalogue; ``""`` for the empty one of a node that holds nothing. An earlier release kept none."""
    return files.get(CATALOGUE_FILE, "none" if backend(files) else "")


@functools.lru_cache(maxsize=1)  # who asks for the reasons asks for Services as well
def _by_service(before: str, after: str) -> tuple[str, ...]:
    from ..catalogue import changes

    try:
        return tuple(changes.lines(_catalogue(before, "in force"), _catalogue(after, "wanted")))
    except ValueError as error:
        return (f"what changes by Service is not known: {error}",)


def _catalogue(text: str, which: str) -> Catalogue:
    from ..catalogue import compiled
    from ..catalogue.model import Catalogue

    try:
        return compiled.load(text) if text else Catalogue()
    except ValueError as error:
        raise ValueError(f"the catalogue {which}: {error}") from None


def outages(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What is out now and was not, and what is out no more."""
    return [line for line in after if line not in before] + [f"no more: {line}" for line in before if line not in after]


def lines(before: Files, after: Files, changes: Sequence[Change], outages: Sequence[str] = ()) -> list[str]:
    """Why the kernel's ``changes`` are: another backend, other Services, ``outages``, or else drift, other settings.

    ``before``: the files in force, none where nothing is.
    """
    was, now = backend(before), backend(after)
    found = [f"backend: {was} is in force, {now} is wanted"] if was and now and was != now else []
    found += [*services(before, after), *outages]
    if found or not before or not changes:
        return found
    if before == after:
        return [f"drift: the catalogue is the same, the kernel's rules are not{_of(changes)}"]
    return ["no Service was changed: other settings, or another release of Sluice, give other rules"]


def several(found: Sequence[str]) -> list[str]:
    """The first few, and how many more there are."""
    from ..catalogue.changes import cut

    return cut(found, NAMED)


def _of(changes: Iterable[Change]) -> str:
    found = sorted(set(_named(changes)))
    return f": {', '.join(several(found))}" if found else ""


def _named(changes: Iterable[Change]) -> Iterator[str]:
    """The service ports that the comments of rules name."""
    for change in changes:
        for line in (*change.removed, *change.added):
            yield from _COMMENT.findall(line)
