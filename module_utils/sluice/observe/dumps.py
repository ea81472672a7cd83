"""Dumps in files: those that somebody names, or a folder of rendered ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ..backends.iptables.text import FILES
from ..backends.ipvs.tables import FILES as IPVS_FILES
from ..backends.nftables.text import FILE as NFTABLES_FILE
from ..faults import Fault, InputError
from .snapshot import DumpError, Snapshot, snapshot

_READ = (*FILES.values(), *IPVS_FILES)


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
    if NFTABLES_FILE in names:
        why = "is not read yet: load it, and dump it by nft -j list ruleset"
        raise InputError([Fault(os.path.join(folder, NFTABLES_FILE), 0, "", "", why)])
    if not names.intersection(_READ):
        raise InputError([Fault(folder, 0, "", "", f"has none of {', '.join(_READ)}")])
    return of_files([os.path.join(folder, name) for name in _READ if name in names], own)
