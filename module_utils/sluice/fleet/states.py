"""What nodes told of themselves (``node/report.py``), unpacked; and those that told nothing."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

FORM = 1
"""Of what nodes write: the same number is in ``node/report.py``."""

MOST = 256 * 1024 * 1024
"""Bytes that a node may tell; 10,000 Services with 5 endpoints each take some ten millions."""

UNREACHABLE, FAILED, NOT_ASKED = "unreachable", "failed", "not asked"


class State(NamedTuple):
    """A node by its name in the inventory. ``told`` is None where it told nothing; then ``failed`` and ``why``."""

    name: str
    told: Mapping[str, Any] | None
    failed: str = ""
    why: str = ""


def unpacked(name: str, packed: str) -> State:
    """What a node told; what is not in words of this release is a failure of the node's."""
    try:
        told = json.loads(_decompressed(base64.b64decode(packed, validate=True)))
        form = told["form"]
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        return State(name, None, FAILED, f"what it told is damaged: {error}")
    if form != FORM:
        return State(name, None, FAILED, f"it told of itself in form {form}, and this release reads {FORM}")
    return State(name, told)


def _decompressed(data: bytes) -> bytes:
    """No more than MOST: a node may be somebody else's by now."""
    stream = zlib.decompressobj()
    found = stream.decompress(data, MOST)
    if stream.unconsumed_tail or not stream.eof:
        raise ValueError(f"more than {MOST} bytes, or cut off")
    return found
