"""The filter endpoint_hosts picks the hosts with labels, and what they say of themselves."""

from __future__ import annotations

from typing import Any

from ansible_collections.sluice.lb.plugins.filter.endpoint_hosts import FilterModule

from sluice.catalogue import hosts

endpoint_hosts = FilterModule().filters()["endpoint_hosts"]

HOSTVARS: dict[str, dict[str, Any]] = {
    "router": {"ansible_host": "10.0.0.1"},
    "empty": {"ansible_host": "10.0.0.2", "sluice_labels": {}},
    "web1": {"ansible_host": "10.0.0.3", "sluice_labels": {"app": "web"}, "sluice_weight": 0, "other": 1},
    "web2": {
        "ansible_host": "10.0.0.4",
        "sluice_labels": {"app": "web"},
        "sluice_endpoint_ip": "192.0.2.4",
        "sluice_ports": {"http": 80},
        "sluice_node": "node2",
        "sluice_ready": False,
    },
}


def test_hosts_with_labels() -> None:
    assert endpoint_hosts(HOSTVARS) == [
        {"name": "web1", "endpoint_ip": "10.0.0.3", "labels": {"app": "web"}, "weight": 0},
        {
            "name": "web2",
            "endpoint_ip": "192.0.2.4",
            "labels": {"app": "web"},
            "ports": {"http": 80},
            "node": "node2",
            "ready": False,
        },
    ]


def test_the_engine_takes_them() -> None:
    one, two = hosts.endpoint_hosts(endpoint_hosts(HOSTVARS))
    assert (one.weight, one.node, two.ready, two.ports) == (0, "*", False, {"http": 80})
    assert endpoint_hosts(HOSTVARS, ["web1", "web2"])[0]["node"] == "web1"
    assert endpoint_hosts(HOSTVARS, ["web1", "web2"])[1]["node"] == "node2"


def test_a_host_without_an_address_is_there_all_the_same() -> None:
    """The engine says what is missing."""
    assert endpoint_hosts({"a": {"sluice_labels": {"app": "web"}}}) == [{"name": "a", "labels": {"app": "web"}}]
