"""What the kernel holds for the Services, as nft and iptables tell it."""

from __future__ import annotations

import json
import re
import typing

import pytest
from balancer import TO_CLIENT

if typing.TYPE_CHECKING:
    from conftest import Node


def elements(node: Node, name: str) -> dict[str, tuple[str, int]]:
    """The elements of a map whose elements count packets: by key, the comment and the count."""
    found = json.loads(node.host.check_output("nft --json list map ip sluice %s", name))
    (held,) = (entry["map"] for entry in found["nftables"] if "map" in entry)
    return {
        " ".join(map(str, key["elem"]["val"]["concat"])): (
            key["elem"]["comment"],
            key["elem"]["counter"]["packets"],
        )
        for key, _value in held["elem"]
    }


def test_tables(node: Node) -> None:
    assert node.left_in_tables() == ["table ip sluice", "table ip6 sluice"]


def test_elements_say_whose_they_are(node: Node) -> None:
    assert {key: comment for key, (comment, _count) in elements(node, "addresses").items()} == {
        "10.96.0.10 tcp 80": "default/web",
        "10.96.0.20 tcp 80": "default/shop:http",
        "10.96.0.30 tcp 80": "default/private",
        "10.96.0.50 tcp 80": "default/sticky",
        "10.96.0.53 udp 53": "default/dns",
        "10.96.0.70 tcp 80": "default/lasting",
        "172.29.163.9 tcp 6443": "kube-system/kubernetes-lb",
        "192.168.11.23 tcp 6443": "kube-system/kubernetes-lb",
        "203.0.113.20 tcp 80": "default/shop:http",
        "203.0.113.30 tcp 80": "default/private",
    }


@pytest.mark.parametrize(
    ("name", "key", "address", "port"),
    [
        ("addresses", "10.96.0.10 tcp 80", "10.96.0.10", 80),
        ("addresses", "172.29.163.9 tcp 6443", "172.29.163.9", 6443),
        ("node-ports", "tcp 30080", TO_CLIENT, 30080),
    ],
)
def test_elements_count_connections(node: Node, name: str, key: str, address: str, port: int) -> None:
    _comment, before = elements(node, name)[key]
    node.ask("tcp", address, port, count=20)
    _comment, after = elements(node, name)[key]
    assert after - before == 20


def test_the_file_loads_as_it_is(node: Node) -> None:
    """By nft alone, without Sluice: then its note is missing of what sets and chains were made, and no element is."""
    node.host.check_output("nft flush ruleset && nft -f /etc/sluice/nftables.nft")
    assert len(node.ask("tcp", "203.0.113.30", 80, count=30)) == 3
    told = node.host.run("sluice diff").stdout.splitlines()
    assert [line for line in told if re.match(r"\w+ (map|set) ", line)] == []
    node.host.check_output("sluice apply")
    assert node.host.run("sluice diff").stdout == ""
