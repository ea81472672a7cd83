"""Fields with a proof that they are whole: JSON text with a digest of all that stands in it.

A disk that was full, a power failure, a hand that slipped: a text with a seal is as it was written, or it is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "sha256"
"""The field of the proof: SHA-256 of the others, as JSON without blanks and sorted by name."""


def text(fields: Mapping[str, Any], *, indent: int | None = None) -> str:
    """The fields as JSON text, sealed. They are JSON values; one named KEY is replaced."""
    return json.dumps({**fields, KEY: _digest(fields)}, indent=indent, sort_keys=True) + "\n"


def fields(text: str) -> dict[str, Any]:
    """What ``text`` sealed, without the seal. Raises ValueError where it is not whole, or has no seal."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict) or found.get(KEY) != _digest(found):
        raise ValueError("the seal is broken")
    del found[KEY]
    return found


def _digest(fields: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in fields.items() if name != KEY}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
