"""A Node, from its manifest."""

from __future__ import annotations

from .model import Node
from .reader import ObjectReader


def read_node(entry: ObjectReader) -> Node:
    status = entry.mapping(entry.value, "status", ())
    found = [
        entry.address(value.get("address"), (*path, "address"))
        for path, value in entry.mappings(status, "addresses", ("status",))
        if value.get("type") == "InternalIP"
    ]
    return Node(entry.name, tuple(entry.labels.items()), tuple(text for text in found if text))
