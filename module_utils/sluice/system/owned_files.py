"""Files that are Sluice's alone: what they should hold, written whole and at once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any, Optional

Contents = dict[str, Optional[str]]
"""What each file should hold, by path; None: it should not be there."""


def content(path: str) -> str | None:
    """What the file holds, or None where there is none."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def differing(wanted: Mapping[str, str | None]) -> Contents:
    """The part of ``wanted`` that is not so yet."""
    return {path: text for path, text in wanted.items() if content(path) != text}


def write(contents: Mapping[str, str | None], *, sync: bool = True) -> None:
    """Write each file beside its place and move it there, so that nobody ever reads half of one.

    ``sync``: have it on the disk before it takes its place, so that a power failure leaves the old one or the new.
    """
    for path, text in contents.items():
        if text is None:
            if os.path.lexists(path):
                os.unlink(path)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".sluice-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                if sync:
                    stream.flush()
                    os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def diff(contents: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Before and after of each file, as Ansible's ``--diff`` wants them. Call it before ``write``."""
    return [
        {"before_header": path, "after_header": path, "before": content(path) or "", "after": text or ""}
        for path, text in contents.items()
    ]
