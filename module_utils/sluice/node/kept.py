"""One value in one file, with a proof that it is whole: what a node keeps is a help, and never stands in the way.

What is damaged counts as not there. It is set aside, under a name that says so, for a person to look at.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from .. import seal
from ..backends.interface import Form
from ..system import owned_files

_FAULTS = (OSError, ValueError, RecursionError)

DAMAGED = ".damaged"
"""What the name of a thing ends with that was set aside."""


def text(value: Any) -> str:
    """The content of a file that keeps ``value``, a JSON value."""
    return seal.text(value if isinstance(value, dict) and value.keys() != {"value"} else {"value": value})


def value(path: str, form: Form) -> Any | None:
    """What the file keeps; None where there is none, or it is damaged."""
    try:
        return _value(path, form)
    except _FAULTS:
        return None


def damaged(path: str, form: Form) -> bool:
    """Whether there is a file that does not hold what was written."""
    try:
        _value(path, form)
    except _FAULTS:
        return True
    return False


def _value(path: str, form: Form) -> Any | None:
    text = owned_files.content(path)
    if text is None:
        return None
    if seal.KEY in text:
        fields = seal.fields(text)
        found = fields["value"] if fields.keys() == {"value"} else fields
    else:
        found = json.loads(text)  # of an earlier version, which wrote no seal: it has to be in form all the more
    if not form(found):
        raise ValueError("not in the form in which it was kept")
    return found


def set_aside(path: str, *, check: bool = False) -> str:
    """Give what is damaged, a file or a folder, another name; the line that says so. ``check``: only say it."""
    if check:
        return f"{path} is damaged; the next apply sets it aside"
    aside = f"{path}{DAMAGED}"
    try:
        if os.path.isdir(aside):
            shutil.rmtree(aside)
        elif os.path.lexists(aside):
            os.unlink(aside)
        os.rename(path, aside)
    except OSError as error:
        return f"{path} is damaged, and cannot be set aside: {error.strerror}"
    return f"{path} was damaged: it is set aside as {aside}"
