"""Reads what somebody else has written, whatever it is: a file is read, all else is refused and never waited for."""

from __future__ import annotations

import codecs
import os
import re
import stat
from typing import Any

MAX_BYTES = 1 << 28
"""Larger files are refused: a catalogue of 20,000 Services has a tenth of it, and a file may have holes without end."""

_HANDED_OVER = re.compile(r"/dev/stdin|(/dev/fd|/proc/self/fd)/[0-9]+")
"""What a shell opened for us, ``<(…)`` say, may be a pipe: it is waited for, as whoever typed it wants."""


_MARKED = (
    (codecs.BOM_UTF8, "UTF-8", "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "UTF-32", "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "UTF-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "UTF-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "UTF-16", "utf-16"),
)
"""What a file begins with, by encoding (YAML 1.2, 5.2), the encoding's name and Python's codec."""

_SAVE = "save it as UTF-8"


class Unreadable(Exception):
    """A file cannot be read; the message says why, without its name."""


def content(path: str) -> str:
    """The text of the file ``path``: UTF-8, or what its byte order mark says. Raises Unreadable."""
    try:
        return _decoded(_read(path, private=False))
    except OSError as error:
        raise Unreadable(_reason(error)) from None


def own_content(path: str) -> str:
    """The same of a file that nobody else can have written: it and its folder are ours or root's, and only the owner
    may write to either. Raises Unreadable."""
    try:
        folder = os.path.dirname(os.path.realpath(path))
        _check_ours(os.stat(folder), f"its folder {folder}")
        return _decoded(_read(path, private=True))
    except OSError as error:
        raise Unreadable(_reason(error)) from None


def check_own_folder(path: str) -> None:
    """As ``own_content`` does, where the file is yet to be written. Raises Unreadable."""
    folder = os.path.dirname(os.path.realpath(path))
    _check_ours(os.stat(folder), f"its folder {folder}")


def _read(path: str, *, private: bool) -> bytes:
    # Without O_NONBLOCK, a FIFO that nobody writes to is waited for at its opening already.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:  # a NUL in its name
        raise Unreadable(str(error)) from None
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if stat.S_ISFIFO(found.st_mode) and _HANDED_OVER.fullmatch(path):
            os.set_blocking(handle, True)
        elif not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"is a {'FIFO' if stat.S_ISFIFO(found.st_mode) else 'device'}, not a file")
        if found.st_size > MAX_BYTES:
            raise Unreadable(f"has more than {MAX_BYTES >> 20} MiB")
        if private:
            _check_ours(found, "it")
        data: bytes | None = stream.read()
    if data is None:  # some files of /proc have nothing yet
        raise Unreadable("has nothing to read")
    return data


def _check_ours(found: os.stat_result, what: str) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise Unreadable(f"{what} belongs to user {found.st_uid}, who may have written anything")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Unreadable(f"{what} may be written by others (mode {stat.S_IMODE(found.st_mode):o})")


def _decoded(data: bytes) -> str:
    name, codec = next(((name, codec) for mark, name, codec in _MARKED if data.startswith(mark)), ("UTF-8", "utf-8"))
    if codec == "utf-8" and b"\0" in data[:4]:  # a manifest begins with ASCII
        raise Unreadable(f"is not UTF-8 (UTF-16 without a byte order mark?): {_SAVE}")
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not {name} ({error.reason} at byte {error.start}): {_SAVE}") from None
    # Files that were joined bring their marks with them: to libyaml they would be indentation.
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n\ufeff", "\n")


def _reason(error: Any) -> str:
    return str(error.strerror or error)
