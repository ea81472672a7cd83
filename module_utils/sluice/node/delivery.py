"""The files of a node as a controller delivers them: only what differs is sent, then it is put in place and applied."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..system import owned_files
from . import apply, files
from .origin import SOMEBODY, Origin
from .result import Result


class Gathered(NamedTuple):
    """Files by name, and the names of those that are in none of the folders."""

    contents: dict[str, str]
    lacking: list[str]


def gather(checksums: Mapping[str, str], folders: Iterable[str]) -> Gathered:
    """The files with these ``checksums`` (SHA-256 in hexadecimal, by name), each from the first folder that has it.

    Raises OSError where a file is there but cannot be read.
    """
    found, lacking = {}, []
    for name, checksum in checksums.items():
        data = next((data for data in _versions(name, folders) if hashlib.sha256(data).hexdigest() == checksum), None)
        if data is None:
            lacking.append(name)
        else:
            found[name] = data.decode()
    return Gathered(found, lacking)


def _versions(name: str, folders: Iterable[str]) -> Iterator[bytes]:
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, owned_files.NotAFileError):
            yield owned_files.read(os.path.join(folder, name))


MOST_REASONS = 40
"""How many lines by Service a diff has, unless it is to have all."""


class Brought(NamedTuple):
    """What was changed on a node, or in check mode would be.

    ``settings``: their before and after, as Ansible's ``--diff`` wants them. The other files are thousands of lines,
    and the kernel's diff shows the same chain by chain.
    """

    kernel: Result
    files: Mapping[str, str | None] = {}
    settings: Sequence[Mapping[str, Any]] = ()

    @property
    def changed(self) -> bool:
        return self.kernel.changed or bool(self.files)

    def diff(self, rules: int | None) -> list[Mapping[str, Any]]:
        """What Ansible's ``--diff`` shows: why the node changes, first by Service, then its settings, then its rules.

        ``rules``: how many lines of these, None for all of them, and then all Services, too.
        """
        if not self.changed:
            return []
        from ..catalogue import changes

        reasons, lines = self.kernel.reasons(), self.kernel.diff()
        if rules is not None:
            hint = ", which -v shows"
            reasons = changes.cut(reasons, MOST_REASONS, hint)
            lines = changes.cut(lines, rules, hint) if rules else []
        return [*_prepared(reasons), *self.settings, *_prepared(lines)]


def _prepared(lines: Sequence[str]) -> list[dict[str, Any]]:
    return [{"prepared": "".join(f"{line}\n" for line in lines)}] if lines else []


def bring(
    directory: str,
    wanted: files.Wanted,
    *,
    check: bool = False,
    confirm: int = 0,
    origin: Origin = SOMEBODY,
) -> Brought:
    """Write what differs to ``directory``, bring the kernel to it, then remove files of another backend or family.

    In this order, a node that goes down in between has the files of what its kernel is to become. Where the kernel
    cannot be brought to them, those that were there come back: the node would go on trying by itself, at its next boot
    or repair, and nothing would take that back.
    ``check``, ``confirm`` and ``origin`` are those of ``apply.apply``. Raises NodeError, OSError.
    """
    changed: owned_files.Contents = {}
    former: owned_files.Contents = {}
    edited: list[str] = []
    settings = _settings(os.path.join(directory, files.SETTINGS_FILE), wanted.contents[files.SETTINGS_FILE])

    def put() -> files.Wanted:
        changed.update(files.differing(directory, wanted.contents))
        edited.extend(files.edited(directory) if changed else [])
        if check:
            return wanted
        if not os.path.isdir(directory):
            owned_files.make_folder(directory)
            os.chmod(directory, 0o755)  # whatever the umask: whoever logs in may read the rules
        owned_files.protect(directory)
        former.update({path: owned_files.shown(path) or None for path in changed})
        owned_files.write({path: text for path, text in changed.items() if text is not None})
        return wanted

    try:
        kernel = apply.apply(put, check=check, confirm=confirm, directory=directory, origin=origin)
    except BaseException:
        with contextlib.suppress(OSError):  # what speaks against the change is what matters
            owned_files.write(former)
        raise
    if not check:
        owned_files.write({path: None for path, text in changed.items() if text is None})
    if edited:
        kernel = kernel._replace(warnings=(*kernel.warnings, *(f"{line}: it is replaced" for line in edited)))
    return Brought(kernel, changed, settings)


def _settings(path: str, after: str) -> list[dict[str, Any]]:
    """Before and after of the settings, without their proof: that changes with every rule."""
    before = files.without_proof(owned_files.shown(path))
    after = files.without_proof(after)
    return [{"before_header": path, "after_header": path, "before": before, "after": after}] if before != after else []
