"""A page out of its data and its parts: one file that a browser needs no network for; pure.

The data is JSON, compressed (zlib, RFC 1950) and in base64: at thousands of endpoints on many nodes the counters alone
would be megabytes. Its letters have no meaning in HTML, so nothing that a node says can become markup. The policy lets
only this page's own script and style run, by their digests, and no request go out (CSP level 3).
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

STYLE, SCRIPT, DATA, POLICY = "/*style*/", "/*script*/", "<!--data-->", "<!--policy-->"
"""What stands in the skeleton where the parts go."""


class Parts(NamedTuple):
    """The texts of ``page.html``, ``page.css`` and ``page.js``."""

    skeleton: str
    style: str
    script: str


def page(data: Mapping[str, Any], parts: Parts) -> str:
    """The page. Raises ValueError where a part would end the element that it is in."""
    for text in (parts.style, parts.script):
        if "</" in text:
            raise ValueError("a part of the page has an end tag in it")
    policy = (
        f"default-src 'none'; script-src {_digest(parts.script)}; style-src {_digest(parts.style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    found = parts.skeleton
    for mark, text in ((POLICY, policy), (STYLE, parts.style), (SCRIPT, parts.script), (DATA, packed(data))):
        if found.count(mark) != 1:
            raise ValueError(f"the skeleton has {mark} {found.count(mark)} times")
        found = found.replace(mark, text)
    return found


def packed(data: Mapping[str, Any]) -> str:
    """Data as the page's script reads it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
