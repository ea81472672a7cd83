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
    (node1,) = found.nodes
    assert node1 == Node("node1", (("zone", "a"),), ("10.0.0.1", "fd00::1"), ("192.0.2.1",))


def test_what_people_ask_of_a_node() -> None:
    manifest = node(creationTimestamp="2026-01-01T00:00:00Z")
    manifest["spec"] = {"unschedulable": True}
    manifest["status"] |= {
        "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
        "nodeInfo": {"kubeletVersion": "v1.36.2", "osImage": "Debian GNU/Linux 12", "bootID": "x"},
    }
    (node1,) = sources.catalogue_of(sources.read([], [manifest]))[0].nodes
    assert (node1.status, node1.created) == ("Ready,SchedulingDisabled", "2026-01-01T00:00:00Z")
    assert dict(node1.info) == {"kubeletVersion": "v1.36.2", "osImage": "Debian GNU/Linux 12"}


def test_bad_address() -> None:
    with pytest.raises(InputError) as caught:
        sources.catalogue_of(sources.read([], [node({"type": "InternalIP", "address": "here"})]))
    (fault,) = caught.value.faults
    assert (fault.subject, fault.field) == ("Node node1", "status.addresses[0].address")
