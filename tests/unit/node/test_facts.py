"""What is found on a node is what its own tools say."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from places import script

from sluice.backends import registry
from sluice.node import facts, state
from sluice.system import linux

pytestmark = pytest.mark.usefixtures("node_root")


def test_this_node() -> None:
    found = facts.facts("iptables")
    printed = subprocess.run(["ip", "-brief", "address"], capture_output=True, text=True, check=True).stdout
    assert all(f" {address}/" in printed or f" {address} peer " in printed for address in found["addresses"])
    assert len(found["ips"]) <= 2
    assert set(found["ips"]) <= set(found["addresses"])
    assert len(found["connections"]) == 2
    assert found["kernel"] == list(linux.release())
    assert (found["systemd"], found["flushers"], found["rolled_back"]) == (False, [], None)
    state.set_note("because")
    assert facts.facts("iptables")["rolled_back"]["reason"] == "because"


@pytest.mark.parametrize("backend", registry.BACKENDS)
@pytest.mark.parametrize(
    ("like", "packages"),
    [
        (["debian"], {"iproute2", "kmod"}),
        (["ubuntu", "debian"], {"iproute2", "kmod"}),
        (["rocky", "rhel", "centos", "fedora"], {"iproute", "kmod"}),
        (["fedora"], {"iproute", "kmod"}),
        (["opensuse-leap", "suse", "opensuse"], {"iproute2", "kmod"}),
        ([], {"iproute2", "kmod"}),
    ],
)
def test_packages_have_the_distribution_s_names(
    backend: str, like: list[str], packages: set[str], programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is installed, not even ip: then no address is known."""
    monkeypatch.setattr(linux, "distributions", lambda: like)
    found = facts.facts(backend)
    iptables = "iptables-nft" if {"rhel", "fedora"} & set(like) else "iptables"
    own = {"iptables": {iptables}, "ipvs": {iptables, "ipset", "ipvsadm"}, "nftables": {"nftables"}}
    assert set(found["missing_packages"]) == packages | own[backend]
    assert (found["addresses"], found["ips"]) == ([], [])


def test_what_is_installed_is_not_missing(programs: Path) -> None:
    for name in registry.BACKENDS["iptables"].commands:
        script(programs / name, "")
    assert facts.facts("iptables")["missing_packages"] == []


def test_addresses_of_services_are_not_the_node_s(programs: Path) -> None:
    """The primary address is on the device of the default route, whatever comes first."""
    (programs / "brief").write_text(
        "lo UP 127.0.0.1/8\neth0 UP 10.0.0.1/24\neth1 UP 10.1.0.1/24\nkube-ipvs0 DOWN 10.96.0.1/32\n"
    )
    devices = ",".join(
        f'{{"ifname":"{name}","addr_info":[{{"family":"inet","scope":"{scope}","local":"{address}"}}]}}'
        for name, scope, address in (
            ("lo", "host", "127.0.0.1"),
            ("kube-ipvs0", "global", "10.96.0.1"),
            ("eth0", "global", "10.0.0.1"),
            ("eth1", "global", "10.1.0.1"),
        )
    )
    (programs / "json").write_text(f"[{devices}]\n")
    script(
        programs / "ip",
        f"""case "$*" in
"-brief address") file={programs}/brief ;;
"-json address") file={programs}/json ;;
"-json -4 route show default") echo '[{{"dst":"default","dev":"eth1"}}]'; exit ;;
*) echo '[]'; exit ;;
esac
while read -r line; do echo "$line"; done <$file""",
    )
    found = facts.facts("iptables")
    assert found["addresses"] == ["127.0.0.1", "10.0.0.1", "10.1.0.1"]
    assert found["ips"] == ["10.1.0.1"]


def test_services_that_flush(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "has_systemd", lambda: True)
    script(
        programs / "systemctl",
        "shift; for unit; do case $unit in firewalld|ip6tables) echo active ;; *) echo inactive ;; esac; done; exit 3",
    )
    assert facts.flushers() == ["firewalld", "ip6tables"]


def test_who_else_programs_services(tmp_path: Path) -> None:
    script(tmp_path / "kube-vip", "read -r line")
    process = subprocess.Popen([tmp_path / "kube-vip"], stdin=subprocess.PIPE)
    try:
        found = facts.facts("iptables")
        assert f"kube-vip (pid {process.pid})" in found["announcers"]
        assert not any("kube-vip" in entry for entry in found["rivals"])
    finally:
        process.communicate()


QUIET = {"rolled_back": None, "flushers": [], "announcers": [], "connections": [0, 0], "obstacles": []}
NOTE = {"time": "2024-01-01T00:00:00+0000", "reason": "because"}


@pytest.mark.parametrize(
    ("found", "backend", "strict_arp", "repairs", "said"),
    [
        ({}, "ipvs", False, False, ""),
        (
            {"rolled_back": NOTE},
            "iptables",
            False,
            True,
            "was taken back by the node at 2024-01-01T00:00:00+0000: because",
        ),
        ({"flushers": ["firewalld"]}, "iptables", False, False, "a reload of firewalld takes Sluice's rules away"),
        ({"flushers": ["firewalld"]}, "iptables", False, True, ""),
        ({"connections": [80, 100]}, "iptables", False, True, "conntrack has 80 connections and room for 100: "),
        ({"connections": [79, 100]}, "iptables", False, True, ""),
        ({"obstacles": ["chain FORWARD drops"]}, "nftables", False, True, "chain FORWARD drops"),
        ({"announcers": ["keepalived (pid 1)"]}, "ipvs", False, True, "keepalived (pid 1) announces addresses"),
        ({"announcers": ["keepalived (pid 1)"]}, "ipvs", True, True, ""),
        ({"announcers": ["keepalived (pid 1)"]}, "iptables", False, True, ""),
        ({"announcers": ["keepalived (pid 1)"]}, "nobody", False, True, ""),
    ],
)
def test_what_speaks_against_it(
    found: dict[str, Any], backend: str, strict_arp: bool, repairs: bool, said: str
) -> None:
    lines = facts.warnings({**QUIET, **found}, backend, strict_arp=strict_arp, repairs=repairs)
    assert len(lines) == bool(said)
    assert said in "".join(lines)


def test_an_unknown_backend_needs_no_packages(programs: Path) -> None:
    """The settings refuse it, with a better message."""
    script(programs / "ip", "case $1 in -json) echo '[]' ;; esac")
    assert facts.facts("nobody")["missing_packages"] == []


@pytest.mark.parametrize(
    ("names", "days", "known"),
    [
        ([], 0, "none"),
        (["lock", "partial"], 0, "none"),
        (["partial", "deb_dists_main_Packages.lz4"], 0, "current"),
        (["partial", "deb_dists_main_Packages.lz4"], 2, "old"),
        (None, 0, "current"),
    ],
)
def test_lists_of_packages(
    names: list[str] | None, days: int, known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None: there is no apt, and others get their lists themselves."""
    monkeypatch.setattr(facts, "_APT_LISTS", str(tmp_path / "lists"))
    if names is not None:
        (tmp_path / "lists").mkdir()
        then = time.time() - days * 86400
        for name in names:
            (tmp_path / "lists" / name).touch()
            os.utime(tmp_path / "lists" / name, (then, then))
    assert facts._package_lists() == known
