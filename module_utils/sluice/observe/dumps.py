"""Dumps in files: those that somebody names, or a folder of rendered ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

from ..backends.iptables.text import FILES
from ..backends.ipvs.tables import FILES as IPVS_FILES
from ..backends.nftables.text import FILE as NFTABLES_FILE
from ..faults import Fault, InputError
from .snapshot import DumpError, Snapshot, snapshot

SETTINGS_FILE = "settings.json"
_READ = (*FILES.values(), *IPVS_FILES, NFTABLES_FILE)


def of_files(paths: Sequence[str], own: Iterable[str] = ()) -> Snapshot:
    """What files hold together. ``own``: addresses of the node besides.

    Raises InputError, with a fault for each file that is no dump, and OSError.
    """
    texts: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                texts.append((path, file.read()))
        except UnicodeDecodeError:
            faults.append(Fault(path, 0, "", "", "is not text"))
    try:
        if not faults:
            return snapshot(texts, own)
    except DumpError:
        pass
    for text in texts:
        try:
            snapshot([text])
        except DumpError as error:
            faults.append(Fault(text[0], 0, "", "", str(error).removeprefix(f"{text[0]}: ")))
    raise InputError(faults)


def of_folder(folder: str, own: Iterable[str] = ()) -> Snapshot:
    """What rendered files hold. Raises InputError where there are none, or of a kind that is no dump, and OSError."""
    names = set(os.listdir(folder))
    if not names.intersection(_READ):
        raise InputError([Fault(folder, 0, "", "", f"has none of {', '.join(_READ)}")])
    known = _node_addresses(os.path.join(folder, SETTINGS_FILE)) if SETTINGS_FILE in names else []
    return of_files([os.path.join(folder, name) for name in _READ if name in names], [*own, *known])


def _node_addresses(path: str) -> list[str]:
    """The node's addresses, as far as its settings have them."""
    with open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
        except ValueError as error:
            raise InputError([Fault(path, 0, "", "", f"is no JSON: {error}")]) from None
    return list(found.get("node_addresses", [])) if isinstance(found, dict) else []
