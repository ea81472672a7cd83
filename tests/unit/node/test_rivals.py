"""Service proxies that run here are found by their name or where they listen, and it is said how to stop them."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import script

from sluice.node import rivals
from sluice.system import linux, sockets


@contextlib.contextmanager
def running(tmp_path: Path, name: str, *words: str) -> Iterator[int]:
    script(tmp_path / name, "read -r line")
    process = subprocess.Popen([tmp_path / name, *words], stdin=subprocess.PIPE)
    try:
        while Path(f"/proc/{process.pid}/comm").read_text().strip() != name:
            time.sleep(0.01)  # it is still the one that starts it
        yield process.pid
    finally:
        process.communicate()


def found(pid: int) -> list[str]:
    """On a host where others may run too."""
    return [line for line in rivals.running(by_port=False) if f"(pid {pid})" in line]


@pytest.mark.parametrize(
    ("words", "is_rival"),
    [
        (["kube-proxy", "--config=/x"], True),
        (["kube-proxy-1.36"], True),
        (["kube-proxy-exp"], False),
        (["kube-router"], True),
        (["kube-router", "--run-service-proxy=false"], False),
        (["kubelet"], False),
    ],
)
def test_by_their_names(tmp_path: Path, words: list[str], is_rival: bool) -> None:
    with running(tmp_path, *words) as pid:
        lines = found(pid)
    assert len(lines) == is_rival
    for line in lines:
        assert line.startswith(f"{words[0]} (pid {pid}) programs Services on this node")
        assert "stop it first (" in line


def test_devices_that_another_one_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "kube-dummy-if")])
    (line,) = rivals.left()
    assert line.startswith("kube-dummy-if holds addresses of Services for the virtual servers of a kube-router: ")
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "kube-ipvs0")])
    assert rivals.left() == []


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody listens on a port of a kube-proxy."""
    monkeypatch.setattr(linux, "processes", lambda is_meant: [])
    monkeypatch.setattr(sockets, "listening", lambda ports: {10256, 10249})
    return


@pytest.mark.usefixtures("listener")
def test_by_their_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, "k3s-server") as pid:
        monkeypatch.setattr(sockets, "holders", lambda ports: dict.fromkeys(ports, sockets.Holder("k3s-server", pid)))
        (line,) = rivals.running(by_port=True)
        assert rivals.running(by_port=False) == []
    assert line.startswith(f"k3s-server (pid {pid}) listens on port 10249, as a kube-proxy does, and programs Services")


@pytest.mark.usefixtures("listener")
def test_sluice_itself_is_no_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, "sluice", "health") as pid:
        monkeypatch.setattr(sockets, "holders", lambda ports: dict.fromkeys(ports, sockets.Holder("python3", pid)))
        assert rivals.running(by_port=True) == []


@pytest.mark.usefixtures("listener")
def test_who_is_not_seen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "holders", lambda ports: {})
    assert [line.partition(":")[0] for line in rivals.running(by_port=True)] == [
        f"a process that is not seen from here listens on port {port}, as a kube-proxy does" for port in (10249, 10256)
    ]


@pytest.mark.parametrize(
    ("name", "group", "said"),
    [
        ("kube-proxy", "0::/system.slice/kube-proxy.service", "systemctl disable --now kube-proxy.service"),
        (
            "kube-proxy",
            "0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-1.scope",
            "a Pod of the DaemonSet kube-proxy: keep that off this node, or delete it where no node needs it",
        ),
        ("k3s-server", "0::/system.slice/k3s.service", "disable-kube-proxy: true in its configuration"),
        ("kube-proxy", "0::/user.slice/user-0.slice/session-1.scope", "kill 7, and whatever starts it again"),
    ],
)
def test_how_it_is_stopped(name: str, group: str, said: str) -> None:
    assert rivals.how_to_stop(name, 7, group) == said
