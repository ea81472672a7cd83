"""What a node is told for good, as files that sysctl, modules-load and the network managers read."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.node import preparation


def test_sysctls_and_modules_in_their_order() -> None:
    text = preparation.sysctl_text({"net.ipv4.vs.conntrack": "1", "net.ipv4.ip_forward": "1"})
    assert text == "# Written by Sluice.\nnet.ipv4.ip_forward = 1\nnet.ipv4.vs.conntrack = 1\n"
    assert preparation.modules_text(["ip_vs", "dummy"]) == "# Written by Sluice.\ndummy\nip_vs\n"


def test_only_those_that_are_installed_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager, networkd = tmp_path / "manager" / "file", tmp_path / "networkd" / "file"
    monkeypatch.setattr(preparation, "NETWORK_MANAGER_FILE", str(manager))
    monkeypatch.setattr(preparation, "NETWORKD_FILE", str(networkd))
    assert preparation.unmanaged_files(["a"]) == {}
    manager.parent.mkdir()
    assert preparation.unmanaged_files([]) == {str(manager): None}
    networkd.parent.mkdir()
    found = preparation.unmanaged_files(["kube-ipvs0", "a"])
    assert "\nunmanaged-devices+=interface-name:a;interface-name:kube-ipvs0\n" in str(found[str(manager)])
    assert "\nName=a kube-ipvs0\n" in str(found[str(networkd)])
