"""Nothing of Sluice is left, and all of others."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from conftest import Node


def test_nothing_is_left(node: Node) -> None:
    assert node.left() == []


def test_tables_of_others_are_left(node: Node) -> None:
    assert "table inet acme" in node.host.check_output("nft list tables").splitlines()
