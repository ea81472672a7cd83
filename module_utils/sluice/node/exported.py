"""A node's metrics as they are now: what is read for them, besides its status."""

from __future__ import annotations

import os

from ..catalogue import sources
from ..catalogue.model import Catalogue
from ..faults import InputError
from ..system import owned_files
from ..system.tools import NodeError
from . import files, metrics, traffic
from .status import Status


def text(found: Status, directory: str) -> str:
    """The metrics of a node that is as ``found``, with its files in ``directory``."""
    catalogue = _catalogue(directory)
    return metrics.text(found, _contents(directory), catalogue, _traffic(catalogue) if catalogue else {})


def _catalogue(directory: str) -> Catalogue | None:
    try:
        return sources.compiled(os.path.join(directory, files.CATALOGUE_FILE))
    except InputError:
        return None


def _contents(directory: str) -> dict[str, str]:
    """The files that have rules."""
    found = {}
    for name in set(files.names()).difference(metrics.WITHOUT_RULES):
        try:
            text = owned_files.content(os.path.join(directory, name))
        except (OSError, UnicodeDecodeError):
            continue
        if text is not None:
            found[name] = text
    return found


def _traffic(catalogue: Catalogue) -> traffic.Traffic:
    """What cannot be read, such as rules that another program changes just now, is missing this time."""
    try:
        return traffic.by_service(catalogue, traffic.read())
    except NodeError:
        return {}
