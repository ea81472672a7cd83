"""A node's metrics as they are now: what is read for them, besides its status."""

from __future__ import annotations

import os

from ..catalogue import counts
from ..catalogue.model import Catalogue
from ..faults import InputError
from ..system import owned_files
from ..system.tools import NodeError
from . import files, metrics, traffic
from .status import Status


def text(found: Status, directory: str) -> str:
    """The metrics of a node that is as ``found``, with its files in ``directory``."""
    held = counts.outline(_content(directory, files.CATALOGUE_FILE))
    return metrics.text(found, contents(directory), held, _traffic(held) if held else {})


def catalogue(directory: str) -> Catalogue | None:
    """That among a node's files; None where it cannot be read."""
    from ..catalogue import sources  # metrics do without

    try:
        return sources.compiled(os.path.join(directory, files.CATALOGUE_FILE))
    except InputError:
        return None


def contents(directory: str) -> dict[str, str]:
    """The files that have rules."""
    found = {}
    for name in set(files.names()).difference(metrics.WITHOUT_RULES):
        text = _content(directory, name)
        if text is not None:
            found[name] = text
    return found


def _content(directory: str, name: str) -> str | None:
    try:
        return owned_files.content(os.path.join(directory, name))
    except (OSError, UnicodeDecodeError):
        return None


def _traffic(held: Catalogue) -> traffic.Traffic:
    """What cannot be read, such as rules that another program changes just now, is missing this time."""
    try:
        return traffic.by_service(held, traffic.read(endpoints=False))
    except NodeError:
        return {}
