"""The other backend and back, under load, by the playbook that people use: nothing fails, nothing is left."""

from __future__ import annotations

import typing

import pytest

if typing.TYPE_CHECKING:
    from conftest import Node

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


@pytest.mark.parametrize("backend", ["iptables", "ipvs"])
def test_migration_under_load(node: Node, backend: str) -> None:
    migrate(node, backend)
