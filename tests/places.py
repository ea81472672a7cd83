"""What tests put into the places of a node, and what they wait for there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def script(path: Path, text: str) -> None:
    """Write a program of /bin/sh."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether ``condition`` is true within the time that the slowest machine may take for it."""
    until = time.monotonic() + 60
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    """Whether the process has not ended, or ended without anybody who waits for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
