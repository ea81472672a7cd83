"""Nodes: their labels, and the addresses that are of the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.catalogue import sources
from sluice.catalogue.model import Node
from sluice.faults import InputError


def node(*addresses: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node1", **metadata},
        "status": {"addresses": list(addresses)},
    }


def test_internal_addresses_only() -> None:
    manifest = node(
        {"type": "Hostname", "address": "node1"},
        {"type": "InternalIP", "address": "10.0.0.1"},
        {"type": "ExternalIP", "address": "192.0.2.1"},
        {"type": "InternalIP", "address": "FD00::1"},
        labels={"zone": "a"},
    )
    found, faults = sources.catalogue_of(sources.read([], [manifest]))
    assert not faults
    assert found.nodes == (Node("node1", (("zone", "a"),), ("10.0.0.1", "fd00::1")),)


def test_bad_address() -> None:
    with pytest.raises(InputError) as caught:
        sources.catalogue_of(sources.read([], [node({"type": "InternalIP", "address": "here"})]))
    (fault,) = caught.value.faults
    assert (fault.subject, fault.field) == ("Node node1", "status.addresses[0].address")
