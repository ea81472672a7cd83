"""The files that hold an inventory's variables: what is no YAML in them, and which of them no host gets.

As ansible.builtin.host_group_vars finds them: ``group_vars/NAME`` and ``host_vars/NAME`` beside the hosts, as a file
with or without an ending, or as a folder of files.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Iterator

from .catalogue import input_files, syntax
from .catalogue.input_files import Unreadable
from .faults import Fault, printable
from .settings import PREFIX

ENDINGS = (".yml", ".yaml", ".json")
EVERYBODY = ("all", "ungrouped")
_OURS = re.compile(rf"^[\"']?{PREFIX}", re.MULTILINE)
_ENCRYPTED = "$ANSIBLE_VAULT"


def broken(sources: Iterable[str]) -> list[Fault]:
    """What is no YAML in the files of variables of inventory ``sources`` (files or folders), and in YAML sources.

    Ansible ends at that, but for a key that is there twice: it takes the second one.
    """
    files = [source for source in sources if source.endswith(ENDINGS) and os.path.isfile(source)]
    for folder in _folders(sources):
        for kind in ("group_vars", "host_vars"):
            files += [file for path in _entries(os.path.join(folder, kind)) for file in _files(path)]
    return [
        Fault(file, wrong.line, "", "", wrong.reason, warning=wrong.reason.endswith(syntax.TWICE))
        for file in dict.fromkeys(files)
        if not (text := _text(file)).startswith(_ENCRYPTED)
        for wrong in syntax.read(text)[1]
    ]


def unread(sources: Iterable[str], groups: Collection[str], hosts: Collection[str]) -> list[Fault]:
    """A warning for each file beside inventory ``sources`` with settings that no host gets: there is no such group, or
    no such host. Files without settings of ours may be another inventory's.
    """
    known = {"group_vars": {*groups, *EVERYBODY}, "host_vars": {*hosts}}
    return [
        Fault(path, 0, "", "", _nobody(kind, path, known[kind]), warning=True)
        for folder in _folders(sources)
        for kind in known
        for path in _entries(os.path.join(folder, kind))
        if _name(path) not in known[kind] and any(map(_OURS.search, map(_text, _files(path))))
    ]


def _nobody(kind: str, path: str, known: Collection[str]) -> str:
    name, thing = _name(path), kind.partition("_")[0]
    stem, ending = os.path.splitext(name)
    if ending and stem in known:
        return f"is not read: the names of files of variables end with {', '.join(ENDINGS)}"
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"there is no {thing} {printable(name)}" + (f", did you mean {near[0]}?" if near else "")


def _name(path: str) -> str:
    """Whose variables a file or folder holds."""
    name = os.path.basename(path)
    stem, ending = os.path.splitext(name)
    return stem if ending in ENDINGS and not os.path.isdir(path) else name


def _folders(sources: Iterable[str]) -> Iterator[str]:
    """Where variables may lie: beside a file, in a folder. A list of hosts (``lb1,lb2``) has no place."""
    places = [source if os.path.isdir(source) else os.path.dirname(source) for source in sources if "," not in source]
    return iter(dict.fromkeys(os.path.abspath(place) for place in places))


def _entries(folder: str) -> list[str]:
    """What counts in a folder of variables: Ansible passes hidden files and copies of editors over."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if not name.startswith(".") and not name.endswith("~")]


def _files(path: str) -> Iterator[str]:
    """The files of an entry, and of the folders in it. Links to folders are not followed: one may lead in a circle."""
    if not os.path.isdir(path):
        yield path
    for folder, folders, _names in os.walk(path):
        folders.sort()
        yield from (entry for entry in _entries(folder) if not os.path.isdir(entry))


def _text(file: str) -> str:
    try:
        return input_files.content(file)
    except Unreadable:
        return ""  # who needs it says so
