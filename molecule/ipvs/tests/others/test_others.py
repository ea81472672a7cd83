"""What other people brought (``meddle``) is as they left it, after the Services were repaired."""

from __future__ import annotations

import typing

from conftest import FOREIGN, LATER_ADDRESS, VirtualServer

if typing.TYPE_CHECKING:
    from conftest import Node


def test_virtual_server_of_others(node: Node) -> None:
    assert node.virtual_servers()[f"tcp {FOREIGN}"] == VirtualServer("-s wlc", {"172.33.0.30:8080": 5})


def test_set_of_others(node: Node) -> None:
    assert node.sets()["ACME"] == {"203.0.113.99"}


def test_rule_of_others(node: Node) -> None:
    assert [rule for rule in node.rules("nat") if "acme" in rule] == [
        '-A PREROUTING -m set --match-set ACME dst -m comment --comment "acme first" -j RETURN'
    ]


def test_address_of_others(node: Node) -> None:
    assert LATER_ADDRESS in node.addresses()
