"""What tests put into the places of a node."""

from __future__ import annotations

import os
from pathlib import Path


def script(path: Path, text: str) -> None:
    """Write a program of /bin/sh."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)
