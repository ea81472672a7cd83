"""What the kernel has counted, with the names of the catalogue: addresses, node ports, what is nobody's."""

from __future__ import annotations

import support

from sluice.backends.interface import Count, Counters, Entry
from sluice.node.traffic import Counted, ServicePort, by_service

CATALOGUE = support.catalogue(
    support.service(
        ip=["10.96.0.1", "fd00::1"],
        type="NodePort",
        ports=[{"name": "http", "port": 80, "nodePort": 30080}, {"name": "dns", "port": 53, "protocol": "UDP"}],
    ),
    support.service("api", ip="10.96.0.2"),
)
HTTP, DNS, API = (
    ServicePort("shop", "web", "http", "TCP"),
    ServicePort("shop", "web", "dns", "UDP"),
    ServicePort("shop", "api", "", "TCP"),
)
WEB = Entry("10.96.0.1", "tcp", 80)


def test_all_ways_in_count_together() -> None:
    first = Counters(
        {
            WEB: Count(1, 1, 60),
            Entry("fd00::1", "tcp", 80): Count(2, 2, 160),
            Entry("", "tcp", 30080): Count(4, 4, 240),
        },
        {(WEB, "10.1.0.1:8080"): Count(7, 7, 460)},
    )
    found = by_service(CATALOGUE, [first])
    assert found == {HTTP: Counted(Count(7, 7, 460), {"10.1.0.1:8080": Count(7, 7, 460)}, whole=False)}


def test_a_node_port_at_an_address_of_the_node() -> None:
    """As IPVS has it."""
    at = Entry("192.0.2.1", "tcp", 30080)
    found = by_service(CATALOGUE, [Counters({at: Count(1, 5, 300, 4, 400)}, {(at, "10.1.0.1:8080"): Count(1)}, True)])
    assert found == {HTTP: Counted(Count(1, 5, 300, 4, 400), {"10.1.0.1:8080": Count(1)}, whole=True)}


def test_the_order_is_the_catalogues_and_what_is_nobodys_is_left_out() -> None:
    counters = Counters(
        {
            Entry("10.96.0.1", "udp", 53): Count(2),
            Entry("10.96.0.2", "tcp", 80): Count(1),
            Entry("10.96.0.9", "tcp", 80): Count(3),
            Entry("10.96.0.1", "udp", 80): Count(4),
        },
        {(Entry("10.96.0.9", "tcp", 80), "10.1.0.1:80"): Count(3)},
    )
    found = by_service(CATALOGUE, [counters])
    assert [(port, counted.total.connections) for port, counted in found.items()] == [(API, 1), (DNS, 2)]


def test_names() -> None:
    assert (HTTP.text, API.text) == ("shop/web:http", "shop/api")
