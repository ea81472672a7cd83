"""From each backend to each other, under load, by the playbook that people use: nothing fails, nothing is left."""

from __future__ import annotations

import typing

import pytest
from balancer import LASTING, pods
from conftest import SCENARIO

if typing.TYPE_CHECKING:
    from conftest import Node

# A round of all six ways, which begins and ends with what the scenario runs; the first has a test of its own.
WAYS = [("nftables", "iptables"), ("iptables", "nftables"), ("nftables", "ipvs"), ("ipvs", "iptables")]
WAYS += [("iptables", "ipvs")]

FILES = {
    "iptables": ["iptables.rules"],
    "ipvs": ["addresses", "ipset.conf", "iptables.rules", "ipvs.conf"],
    "nftables": ["nftables.nft"],
}


def held(node: Node) -> dict[str, bool]:
    """Whether the kernel holds anything of each backend, and the node waits for connections of IPVS."""
    tables = node.left_in_tables()
    sets = [name for name in node.sets() if name.startswith("KUBE-")]
    device = node.host.run("ip link show kube-ipvs0").rc == 0
    return {
        "iptables": any("KUBE-SEP-" in line for line in tables),
        "ipvs": bool(node.virtual_servers() or sets or device),
        "nftables": "table ip sluice" in tables,
        "rules of kube-proxy": any("KUBE-" in line for line in tables),
        "a drain": "sluice-drain" in node.host.check_output("systemctl list-timers --all --no-legend --no-pager"),
    }


def migrate(node: Node, backend: str) -> None:
    with node.udp("10.96.0.53", 53) as ask:
        assert ask()
        node.migrate_under_load(backend)
        assert ask()
    holds = {name for name, found in held(node).items() if found}
    assert holds == {backend} | ({"rules of kube-proxy"} if backend != "nftables" else set())
    files = node.host.file("/etc/sluice").listdir()
    assert sorted(files) == sorted(["catalogue.json", "settings.json", *FILES[backend]])


def test_from_ipvs_to_nftables(node: Node) -> None:
    migrate(node, "nftables")


def test_a_reboot_brings_nftables_back(node: Node) -> None:
    done = node.play("reboot", folder=SCENARIO)
    assert done.returncode == 0, done.stdout
    assert node.left_in_tables() == ["table ip sluice"]
    assert set(pods(node.ask("tcp", "203.0.113.20", 80, count=40))) == {"pod-11", "pod-30"}


def test_a_full_conntrack_holds_up_no_apply(node: Node) -> None:
    """The kernel drops new connections then. Those that are there go on, and the node gets what it should hold."""
    room = "net.netfilter.nf_conntrack_max"
    before = node.host.check_output("sysctl -n %s", room)
    with node.load(rate=0, held=12, targets=LASTING) as clients:
        node.host.check_output("nft delete element ip sluice addresses '{ 10.96.0.10 . tcp . 80 }'")
        node.host.check_output("sysctl -w %s=1", room)
        try:
            assert node.ask("tcp", "10.96.0.70", 80) == {"timeout": 1}
            done = node.host.run("sluice apply")
            assert (done.rc, done.stderr) == (0, "")
            assert "changed=0" not in done.stdout
            assert node.host.run("sluice diff").stdout == ""
        finally:
            node.host.check_output("sysctl -w %s=%s", room, before)
        assert len(pods(node.ask("tcp", "10.96.0.10", 80, count=30))) == 3
    assert clients.seen["faults"] == {}


@pytest.mark.parametrize(("before", "backend"), WAYS)
def test_from_each_to_each(node: Node, before: str, backend: str) -> None:
    assert held(node)[before]
    migrate(node, backend)
