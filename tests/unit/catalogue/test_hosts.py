"""Inventory hosts that Services may select: what their variables may hold."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.catalogue import hosts
from sluice.catalogue.hosts import EndpointHost
from sluice.catalogue.model import ZONE_LABEL
from sluice.faults import InputError


@pytest.mark.parametrize(
    ("host", "field"),
    [
        ({"name": "a", "endpoint_ip": "nowhere"}, "sluice_endpoint_ip"),
        ({"name": "a", "endpoint_ip": "127.0.0.1"}, "sluice_endpoint_ip"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "labels": "web"}, "sluice_labels"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "ports": {"http": 0}}, "sluice_ports"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "ports": {"http": True}}, "sluice_ports"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "ready": "no"}, "sluice_ready"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "weight": -1}, "sluice_weight"),
        ("a", ""),
    ],
)
def test_bad_inventory_host(host: Any, field: str) -> None:
    good = {"name": "b", "endpoint_ip": "10.0.0.2"}
    with pytest.raises(InputError) as caught:
        hosts.endpoint_hosts([good, host, good])
    (fault,) = caught.value.faults
    assert (fault.file, fault.field) == ("inventory", field)


def test_what_is_not_said() -> None:
    (host,) = hosts.endpoint_hosts([{"name": "a", "endpoint_ip": "FD00::1"}])
    assert host == EndpointHost("a", {}, ("fd00::1",), {}, "*", "", True, None)
    (node,) = hosts.endpoint_hosts([{"name": "LB1", "endpoint_ip": "FD00::1"}], ["lb1"])
    assert node.node == "lb1", "a load balancer that is an endpoint as well"


def test_what_is_said() -> None:
    (host,) = hosts.endpoint_hosts(
        [
            {
                "name": "a",
                "labels": {"app": 1, ZONE_LABEL: "z"},
                "endpoint_ip": ["10.0.0.1", "fd00::1", "10.0.0.1"],
                "ports": {"http": 8080},
                "node": "node1",
                "ready": False,
                "weight": 0,
            }
        ]
    )
    assert host.labels == {"app": "1", ZONE_LABEL: "z"}
    assert host.addresses == ("10.0.0.1", "fd00::1")
    assert (host.ports, host.node, host.zone, host.ready, host.weight) == ({"http": 8080}, "node1", "z", False, 0)


def test_a_host_without_an_address() -> None:
    with pytest.raises(InputError) as caught:
        hosts.endpoint_hosts([{"name": "a"}])
    said = "inventory: host a: sluice_endpoint_ip: is not set, nor is ansible_host, which it is by default"
    assert [str(fault) for fault in caught.value.faults] == [said]


def test_every_fault_of_every_host() -> None:
    with pytest.raises(InputError) as caught:
        hosts.endpoint_hosts([{"name": "a", "labels": 1, "ready": 2}, {"endpoint_ip": "10.0.0.1", "weight": 70000}])
    assert [(fault.subject, fault.field) for fault in caught.value.faults] == [
        ("host a", "sluice_labels"),
        ("host a", "sluice_endpoint_ip"),
        ("host a", "sluice_ready"),
        ("host number 1", "sluice_weight"),
    ]
