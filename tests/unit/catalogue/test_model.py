"""What the catalogue says of a Node."""

from __future__ import annotations

from sluice.catalogue.model import Catalogue, Node


def test_a_node_that_the_catalogue_has() -> None:
    found = Catalogue(nodes=(Node("a", (("zone", "x"),), ("10.0.0.1",)),))
    assert found.node_labels("a") == {"zone": "x"}
    assert found.node_labels("b") == {}
