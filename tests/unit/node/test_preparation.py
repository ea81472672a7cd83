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


def prepare(
    modules: Sequence[str] = (),
    sysctls: Mapping[str, str] | None = None,
    options: preparation.Options | None = None,
    *,
    check: bool = False,
) -> Prepared:
    return preparation.prepare(modules, sysctls or {}, [], options or {}, check=check)


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


RECENT = {"xt_recent": {"ip_list_tot": "5000"}}


@pytest.fixture
def recent(node_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Path) -> Path:
    """A module that is loaded, below a /sys of the test's own; modprobe logs its words and reads the options."""
    folder = tmp_path / "sys/xt_recent"
    (folder / "parameters").mkdir(parents=True)
    (folder / "parameters/ip_list_tot").write_text("100\n")
    (folder / "refcnt").write_text("0\n")
    monkeypatch.setattr(linux, "_SYS_MODULE", str(folder.parent))
    read = f'while IFS== read -r _ value; do echo "$value" >{folder}/parameters/ip_list_tot; done'
    script(programs / "modprobe", f'echo "$*" >>{programs}/log; {read} <{preparation.OPTIONS_FILE}')
    return folder


def test_options_of_modules() -> None:
    text = preparation.options_text({"xt_recent": {"ip_pkt_list_tot": "1", "ip_list_tot": "5000"}, "a": {"b": "c"}})
    assert text == "# Written by Sluice.\noptions a b=c\noptions xt_recent ip_list_tot=5000 ip_pkt_list_tot=1\n"


@pytest.mark.usefixtures("node_root")
def test_options_of_a_module_that_is_not_loaded() -> None:
    wanted = {"no_such_module": {"a": "1"}}
    predicted = prepare(options=wanted, check=True)
    assert not os.path.exists(preparation.OPTIONS_FILE)
    assert prepare(options=wanted) == predicted
    assert [entry["after"] for entry in predicted.diff] == ["# Written by Sluice.\noptions no_such_module a=1\n"]
    assert Path(preparation.OPTIONS_FILE).read_text() == predicted.diff[0]["after"]
    assert prepare(options=wanted) == Prepared([], [], [])
    assert prepare().changed
    assert not os.path.exists(preparation.OPTIONS_FILE)
    assert not prepare().changed


@pytest.mark.usefixtures("recent")
def test_a_module_that_nobody_uses_is_loaded_anew(programs: Path) -> None:
    predicted = prepare(options=RECENT, check=True)
    assert not (programs / "log").exists()
    done = prepare(options=RECENT)
    assert done == predicted
    assert (done.warnings, done.diff[-1]["after_header"]) == ([], "module xt_recent")
    assert (done.diff[-1]["before"], done.diff[-1]["after"]) == ("ip_list_tot = 100\n", "ip_list_tot = 5000\n")
    assert (programs / "log").read_text() == "--quiet --remove xt_recent\n--quiet xt_recent\n"
    assert prepare(options=RECENT) == Prepared([], [], [])
    assert prepare().changed
    assert linux.module_parameter("xt_recent", "ip_list_tot") == "5000", "the running kernel keeps it"


def test_a_module_in_use_keeps_its_options_until_it_is_free(recent: Path, programs: Path) -> None:
    (recent / "refcnt").write_text("4\n")
    predicted = prepare(options=RECENT, check=True)
    assert prepare(options=RECENT) == predicted
    assert [entry["after_header"] for entry in predicted.diff] == [preparation.OPTIONS_FILE]
    (warning,) = predicted.warnings
    assert warning == (
        "xt_recent is in use with ip_list_tot=100: ip_list_tot=5000 takes effect with the next boot, or with the next "
        "run that finds the module unused"
    )
    assert prepare(options=RECENT) == Prepared([], [], predicted.warnings), "nothing to change, and still not in force"
    assert not (programs / "log").exists()
    (recent / "refcnt").write_text("0\n")
    assert prepare(options=RECENT).changed
    assert prepare(options=RECENT) == Prepared([], [], [])


def test_a_module_that_does_not_go_is_a_warning(recent: Path, programs: Path) -> None:
    """Somebody has come to use it meanwhile."""
    script(programs / "modprobe", f"echo 1 >{recent}/refcnt; exit 1")
    done = prepare(options=RECENT)
    assert [entry["after_header"] for entry in done.diff] == [preparation.OPTIONS_FILE]
    assert done.warnings[0].startswith("xt_recent is in use with ip_list_tot=100: ")


def test_a_module_that_is_part_of_the_kernel(recent: Path) -> None:
    (recent / "refcnt").unlink()
    (warning,) = prepare(options=RECENT).warnings
    said = "xt_recent is part of this kernel, with ip_list_tot=100: only its command line "
    assert warning == f"{said}(xt_recent.ip_list_tot=5000) changes that"


ROOM = "net.netfilter.nf_conntrack_buckets = {0}\nnet.netfilter.nf_conntrack_max = {0}\n"


@pytest.fixture
def kernel(node_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sysctls of conntrack in a /proc/sys of the test's own: room for 4,096."""
    folder = tmp_path / "proc/net/netfilter"
    folder.mkdir(parents=True)
    for name in ("buckets", "max"):
        (folder / f"nf_conntrack_{name}").write_text("4096\n")
    monkeypatch.setattr(linux, "_SYSCTLS", f"{tmp_path}/proc/")
    return folder


def give_room(wanted: int | str, *, check: bool = False) -> Prepared:
    return preparation.prepare([], {}, [], {}, conntrack_max=wanted, check=check)


def held(kernel: Path) -> list[str]:
    return [(kernel / f"nf_conntrack_{name}").read_text().strip() for name in ("buckets", "max")]


def test_room_for_connections_is_only_raised(kernel: Path) -> None:
    predicted = give_room(8192, check=True)
    assert (held(kernel), os.path.exists(preparation.SYSCTL_FILE)) == (["4096", "4096"], False)
    assert give_room(8192) == predicted
    assert (predicted.diff[-1]["before"], predicted.diff[-1]["after"]) == (ROOM.format(4096), ROOM.format(8192))
    assert held(kernel) == ["8192", "8192"]
    assert Path(preparation.SYSCTL_FILE).read_text().endswith(f"\n{ROOM.format(8192)}")
    assert give_room(8192) == Prepared([], [], [])
    (kernel / "nf_conntrack_buckets").write_text("8704")  # the kernel fills whole pages
    assert give_room(8192) == Prepared([], [], [])
    # Less is for the next boot.
    assert [entry["after_header"] for entry in give_room(6000).diff] == [preparation.SYSCTL_FILE]
    assert held(kernel) == ["8704", "8192"]
    assert not give_room(6000).changed
    assert give_room(0).changed
    assert (held(kernel), os.path.exists(preparation.SYSCTL_FILE)) == (["8704", "8192"], False)


def test_what_has_more_room_is_left_alone(kernel: Path) -> None:
    """Also at boot, by whatever file it got it."""
    assert give_room(2048) == Prepared([], [], [])
    assert not os.path.exists(preparation.SYSCTL_FILE)


def test_room_by_processors_and_memory(kernel: Path) -> None:
    give_room(preparation.AUTO)
    assert held(kernel) == [str(preparation.conntrack.room(os.cpu_count() or 1, linux.memory()))] * 2
    assert not give_room(preparation.AUTO).changed


def test_room_that_only_the_host_can_give(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "may_set_sysctl", lambda name: False)
    assert give_room(preparation.AUTO) == Prepared([], [], []), "nobody asked for a number"
    said = (
        "net.netfilter.nf_conntrack_max stays 4096: sluice_conntrack_max (8192) cannot be set in here, but on the host"
    )
    assert give_room(8192) == Prepared([], [], [said])
    assert held(kernel) == ["4096", "4096"]


def test_room_where_conntrack_is_not_loaded(kernel: Path) -> None:
    for name in ("buckets", "max"):
        (kernel / f"nf_conntrack_{name}").unlink()
    assert [entry["after_header"] for entry in give_room(8192).diff] == [preparation.SYSCTL_FILE]
    assert not give_room(8192).changed
