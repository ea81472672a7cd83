"""What systemd is told by a unit: by a path, or by an abstract address; nobody else is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sluice.system import notify


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_it_is_told(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{os.getpid()}-{kind}"
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path if kind == "path" else f"\0sluice-test-{name}")
        systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", path if kind == "path" else f"@sluice-test-{name}")
        assert notify.notify(notify.READY, notify.WATCHDOG)
        assert systemd.recv(100) == b"READY=1\nWATCHDOG=1"


@pytest.mark.parametrize("address", ["", "/nobody/listens", "@sluice-test-nobody", "vsock:2:1234", "relative"])
def test_nobody_wants_to_hear(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify.notify(notify.READY)


def test_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.notify(notify.READY)


def test_one_that_does_not_listen_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "s")
    monkeypatch.setattr(notify, "_PATIENCE", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        said = 0
        while notify.notify(notify.WATCHDOG):
            said += 1
        # As much as fits (net.unix.max_dgram_qlen).
        assert said > 0
