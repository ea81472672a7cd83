"""Files that are Sluice's alone: what they should hold, written whole and at once."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from typing import Any, Optional

from .threads import beside

Contents = dict[str, Optional[str]]
"""What each file should hold, by path; None: it should not be there."""

_OTHERS_WRITE = 0o022
_FOLDER, _FILE = 0o755, 0o644
"""Modes at most: whoever logs in may read what Sluice does, and nobody else may change it, whatever the umask."""


class NotAFileError(OSError):
    """A FIFO, a device, a folder: there is nothing to read, or no end of it."""


def content(path: str) -> str | None:
    """What the file holds, or None where there is none. Raises OSError, and UnicodeDecodeError where it is no text."""
    try:
        data = read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return data.decode()


_LARGE = 1 << 20
"""Bytes from which a file's digest is computed beside other work."""


def with_digest(path: str) -> tuple[str, str]:
    """The text of a file and its SHA-256 in hexadecimal. Raises OSError, UnicodeDecodeError."""
    data = read(path)
    if len(data) < _LARGE:
        return data.decode(), digest(data)
    with beside(lambda: digest(data)) as found:
        text = data.decode()
        return text, found()


def digest(data: bytes) -> str:
    """The SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read(path: str) -> bytes:
    """The bytes of a file. Raises OSError; NotAFileError where it is none: a FIFO would keep its reader waiting."""
    with open(path, "rb", opener=_without_waiting) as stream:
        return stream.read()


def _without_waiting(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise NotAFileError(errno.EINVAL, "not a file", path)


def differing(wanted: Mapping[str, str | None]) -> Contents:
    """The part of ``wanted`` that is not so yet."""
    return {path: text for path, text in wanted.items() if not _holds(path, text)}


def _holds(path: str, text: str | None) -> bool:
    try:
        return content(path) == text and (text is None or _is_ours(os.stat(path)))
    except (NotAFileError, UnicodeDecodeError):
        return False


def _is_ours(found: os.stat_result) -> bool:
    """Whether nobody else may write to a file or folder."""
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE


def write(contents: Mapping[str, str | None], *, sync: bool = True) -> None:
    """Write each file beside its place and move it there, so that nobody ever reads half of one.

    ``sync``: have it on the disk before it takes its place, so that a power failure leaves the old one or the new.
    """
    for path, text in contents.items():
        if text is None:
            if os.path.lexists(path):
                os.unlink(path)
            continue
        make_folder(os.path.dirname(path))
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".sluice-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                os.fchmod(handle, _FILE)
                if sync:
                    stream.flush()
                    os.fsync(handle)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def make_folder(path: str) -> None:
    """Make a folder, and those above it that are missing. Others may make them at the same time."""
    if os.path.isdir(path or "."):
        return
    make_folder(os.path.dirname(path))
    try:
        os.mkdir(path, _FOLDER)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def exclusive(path: str, flags: int) -> int:
    """The ``opener`` of open(): a new file, with the mode of those that ``write`` writes."""
    return os.open(path, flags | os.O_EXCL, _FILE)


def protect(path: str) -> None:
    """Take away others' right to write to a folder or file, which a careless umask or command has given them."""
    found = os.stat(path)
    if found.st_uid != os.geteuid():
        os.chown(path, os.geteuid(), -1)
    if found.st_mode & _OTHERS_WRITE:
        os.chmod(path, stat.S_IMODE(found.st_mode) & ~_OTHERS_WRITE)


def shown(path: str) -> str:
    """What the file holds, for a person to compare; nothing where that is no text."""
    try:
        return content(path) or ""
    except (NotAFileError, UnicodeDecodeError):
        return ""


def diff(contents: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Before and after of each file, as Ansible's ``--diff`` wants them. Call it before ``write``."""
    return [
        {"before_header": path, "after_header": path, "before": shown(path), "after": text or ""}
        for path, text in contents.items()
    ]
