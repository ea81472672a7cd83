"""Nothing of Sluice is left."""

from __future__ import annotations

import typing

from conftest import FOREIGN

if typing.TYPE_CHECKING:
    from conftest import Node


def test_only_the_virtual_server_of_others_is_left(node: Node) -> None:
    assert list(node.virtual_servers()) == [f"tcp {FOREIGN}"]


def test_only_the_set_of_others_is_left(node: Node) -> None:
    assert list(node.sets()) == ["ACME"]


def test_no_device_is_left(node: Node) -> None:
    assert node.host.run("ip link show kube-ipvs0").rc == 1


def test_nothing_else_is_left(node: Node) -> None:
    assert node.left() == []
