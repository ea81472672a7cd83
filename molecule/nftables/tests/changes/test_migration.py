"""To iptables and back, under load, by the playbook that people use: nothing fails, nothing is left."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from conftest import Node


def test_to_iptables(node: Node) -> None:
    node.migrate_under_load("iptables")
    assert "table ip sluice" not in node.left_in_tables()
    files = ["catalogue.json", "ip6tables.rules", "iptables.rules", "settings.json"]
    assert node.host.file("/etc/sluice").listdir() == files


def test_and_back(node: Node) -> None:
    node.migrate_under_load("nftables")
    assert node.left_in_tables() == ["table ip sluice", "table ip6 sluice"]
    assert node.host.file("/etc/sluice").listdir() == ["catalogue.json", "nftables.nft", "settings.json"]
