"""Inventory hosts that Services may select: what their variables may hold."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.catalogue import hosts
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
