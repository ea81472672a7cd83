"""What a node is told for good, as files that sysctl, modules-load and the network managers read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from places import script

from sluice.node import preparation
from sluice.node.preparation import Prepared
from sluice.system import linux
from sluice.system.tools import NodeError


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


def prepare(modules: Sequence[str] = (), sysctls: Mapping[str, str] | None = None, *, check: bool = False) -> Prepared:
    return preparation.prepare(modules, sysctls or {}, [], check=check)


@pytest.mark.usefixtures("node_root")
def test_files_are_written_once_and_removed() -> None:
    """The sysctl and the module are as they are wanted already, whatever kernel this is."""
    wanted: dict[str, Any] = {"modules": ["kernel"], "sysctls": {"kernel.ostype": "Linux"}}
    predicted = prepare(**wanted, check=True)
    assert not os.path.exists(preparation.SYSCTL_FILE)
    assert prepare(**wanted) == predicted
    assert [entry["after_header"] for entry in predicted.diff] == [preparation.SYSCTL_FILE, preparation.MODULES_FILE]
    assert Path(preparation.SYSCTL_FILE).read_text().endswith("\nkernel.ostype = Linux\n")
    assert Path(preparation.MODULES_FILE).read_text().endswith("\nkernel\n")
    assert not prepare(**wanted).changed
    assert prepare().changed
    assert not os.path.exists(preparation.SYSCTL_FILE)
    assert not os.path.exists(preparation.MODULES_FILE)


@pytest.mark.usefixtures("node_root")
def test_values_that_would_change_are_shown() -> None:
    now = linux.sysctl("net.ipv4.ip_forward")
    other = "0" if now == "1" else "1"
    missing = "net.ipv4.no_such_sysctl"  # comes with a module, perhaps
    found = prepare(sysctls={"net.ipv4.ip_forward": other, missing: "1"}, check=True)
    assert found.changed
    entry = found.diff[-1]
    assert (entry["before"], entry["after"]) == (f"net.ipv4.ip_forward = {now}\n", f"net.ipv4.ip_forward = {other}\n")
    assert linux.sysctl("net.ipv4.ip_forward") == now


@pytest.mark.usefixtures("node_root")
def test_nothing_is_changed_where_the_kernel_lacks_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "lacks_module", lambda name: name == "ip_vs")
    with pytest.raises(NodeError, match=r"^this node's kernel has no module ip_vs; nothing was changed$"):
        prepare(modules=["kernel", "ip_vs"], sysctls={"kernel.ostype": "Linux"})
    assert not os.path.exists(preparation.SYSCTL_FILE)


@pytest.mark.usefixtures("node_root", "programs")
def test_a_module_that_cannot_be_loaded_was_not(programs: Path) -> None:
    assert prepare(modules=["no_such_module"]).loaded == []
    script(programs / "modprobe", f'echo "$*" >>{programs}/log')
    assert prepare(modules=["no_such_module"]).loaded == ["no_such_module"]
    assert (programs / "log").read_text() == "--quiet no_such_module\n"
