"""What tests put into the places of a node, and what they wait for there."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PLACED = (
    *(f"node.{name}" for name in ("state", "pending", "units", "timer", "installation", "preparation", "files")),
    *(f"node.{name}" for name in ("outage", "health_report", "health_loop", "processes", "supervisor", "verdicts")),
    "node.published",
    "archive",
    "system.locks",
)
"""The modules of the engine that know where something lies on a node."""


def place_below(root: Path, monkeypatch: pytest.MonkeyPatch, engine: str = "sluice") -> None:
    """Have the package ``engine`` keep all that it keeps on a node below ``root``, on a node without systemd.

    What it says in the journal is a line in ``root/journal``. It has no user, nor the means to
    make one: those of this machine are left alone.
    """
    # All of them first: what one imports from another has to be the constant, not the place of this test.
    for module in [importlib.import_module(f"{engine}.{name}") for name in PLACED]:
        for constant, value in list(vars(module).items()):
            if isinstance(value, str) and value.startswith(("/var/lib/", "/run/", "/etc/", "/usr/local/")):
                monkeypatch.setattr(module, constant, f"{root}{value}")
    (root / "run").mkdir(parents=True)
    monkeypatch.setattr(importlib.import_module(f"{engine}.system.linux"), "has_systemd", lambda: False)
    users = importlib.import_module(f"{engine}.system.users")
    monkeypatch.setattr(users, "_comment", lambda _name: None)
    for means in ("may_make", "may_remove"):
        monkeypatch.setattr(users, means, lambda: False)

    def say(line: str) -> None:
        with open(root / "journal", "a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")

    monkeypatch.setattr(importlib.import_module(f"{engine}.system.journal"), "say", say)


def journal(root: Path) -> list[str]:
    """What such an engine has said in the journal."""
    return (root / "journal").read_text().splitlines() if (root / "journal").exists() else []


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


def as_nobody(function: Callable[[], str]) -> str:
    """What ``function`` says in a process without any right of root."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            if not os.geteuid():
                os.setuid(65534)
            os.write(writer, function().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    return said
