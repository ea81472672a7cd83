"""Services that are asked in vain are said."""

from __future__ import annotations

from typing import Any

import pytest
from iptables_rules import LOCAL
from support import endpoint, endpoint_slice, service

from sluice.catalogue import sources
from sluice.catalogue.checks import Checks
from sluice.catalogue.model import Node

NODES = Checks(ip_families=("IPv4",), inventory=True, nodes=(Node("lb1", (), ()), Node("lb2", (), ())))
HOSTS = [{"name": "web1", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.1"}]
NODE_PORT = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}


def said(*objects: dict[str, Any], checks: Checks = NODES, hosts: Any = HOSTS) -> list[tuple[str, str]]:
    _, faults = sources.catalogue_of(sources.read([], objects), hosts, checks)
    assert all(fault.warning for fault in faults)
    return [(fault.field, fault.message) for fault in faults]


@pytest.mark.parametrize(
    ("objects", "field", "message"),
    [
        ([service()], "spec", "has no endpoints: connections are refused"),
        ([service(selector={"app": "wob"})], "spec.selector", "no host of the inventory has these labels: connections"),
        ([service(), endpoint_slice()], "spec", "has no endpoints: connections are refused"),
        ([service(), endpoint_slice(endpoint("10.0.0.1", ready=False))], "spec", "no endpoint is ready: connections"),
        (
            [service(**NODE_PORT, **LOCAL), endpoint_slice(endpoint("10.0.0.1", "lb1"))],
            "spec.externalTrafficPolicy",
            "policy Local, and no ready endpoint on lb2: packets are dropped there",
        ),
        (
            [service(internalTrafficPolicy="Local"), endpoint_slice(endpoint("10.0.0.1", "web1"))],
            "spec.internalTrafficPolicy",
            "policy Local, and no ready endpoint on lb1, lb2: packets are dropped there",
        ),
    ],
)
def test_what_will_not_answer(objects: list[dict[str, Any]], field: str, message: str) -> None:
    ((where, text),) = said(*objects)
    assert (where, text.startswith(message)) == (field, True)


@pytest.mark.parametrize(
    "objects",
    [
        [service(), endpoint_slice("10.0.0.1")],
        [service(selector={"app": "web"})],
        [service(selector={"app": "web"}, **NODE_PORT, **LOCAL)],
        [service(), endpoint_slice(endpoint("10.0.0.1", ready=False, serving=True, terminating=True))],
        [service(**NODE_PORT, **LOCAL), endpoint_slice(endpoint("10.0.0.1", "lb1"), endpoint("10.0.0.2", "lb2"))],
        [service(ip="None")],
    ],
)
def test_what_will_answer(objects: list[dict[str, Any]]) -> None:
    assert said(*objects) == []


def test_nothing_is_said_where_no_inventory_is_known() -> None:
    assert said(service(selector={"app": "web"}), checks=NODES._replace(inventory=False), hosts=()) == []
    assert said(service(), checks=Checks()) == []


def test_slices_that_name_no_node() -> None:
    local = [service(**NODE_PORT, **LOCAL), endpoint_slice(endpoint("10.0.0.1", ""))]
    assert len(said(*local)) == 1
    assert said(*local, checks=NODES._replace(local_without_node=True)) == []


def test_many_are_one_line() -> None:
    objects = [service(f"s{n:02}", ip=f"10.96.0.{n + 1}") for n in range(30)]
    ((_, message),) = said(*objects)
    assert message.endswith(f"also {', '.join(f'shop/s{n:02}' for n in range(1, 10))}, 20 more")
