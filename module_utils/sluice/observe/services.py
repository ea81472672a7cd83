"""Which Services are in a node's rules, whatever program made them: of each service port all that its rules tell."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any, Callable

from .. import addresses
from . import services_flat, services_iptables, services_ipvs, services_nftables
from .service_ports import ServicePort
from .snapshot import Snapshot

Ports = Callable[[], Sequence[ServicePort]]
"""Gives the service ports of a snapshot."""


def once(snapshot: Snapshot) -> Ports:
    """What finds its service ports when somebody first asks, and not again: thousands of them take seconds."""
    return functools.lru_cache(maxsize=None)(lambda: services(snapshot))


def services(snapshot: Snapshot) -> list[ServicePort]:
    """Every service port in the rules, sorted by name and address; one that two programs have comes twice."""
    found: list[ServicePort] = []
    for variant, tables in snapshot.iptables.items():
        found += services_iptables.ports(tables, variant.name)
    found += services_ipvs.ports(snapshot.servers, snapshot.sets)
    for table in snapshot.nftables:
        found += services_flat.ports(table) if services_flat.has(table) else services_nftables.ports(table)
    return sorted(found, key=_order)


def _order(port: ServicePort) -> tuple[Any, ...]:
    return port.name, port.family, port.cluster_ip, port.port, port.node_port, port.protocol, port.source, port


def ways_in(port: ServicePort, own: Collection[str] = ()) -> list[tuple[str, int, str]]:
    """Where clients reach a service port: address, port, protocol. ``own``: the node's addresses, for its node port."""
    ways = [(port.cluster_ip, port.port, port.protocol)] if port.cluster_ip else []
    ways += [(ip, port.port, port.protocol) for ip in (*port.external_ips, *port.load_balancer_ips)]
    if port.node_port:
        taken = {port.cluster_ip, *port.external_ips, *port.load_balancer_ips}
        of_node = port.node_addresses or sorted(set(own) - taken)
        ways += [(ip, port.node_port, port.protocol) for ip in of_node if addresses.family_of(ip) == port.family]
    return ways
