"""What one object may not take from another: names, addresses, ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import addresses, names
from .checks import Checks
from .model import HostPort, Service
from .reader import ObjectReader, place
from .services import declared_at
from .syntax import Path

Declared = tuple[ObjectReader, Path]
"""An object, and the field of it that says something."""


def distinct_objects(objects: Iterable[ObjectReader]) -> Iterator[ObjectReader]:
    """``objects``, each once. The same one again, as where two dumps overlap, changes nothing; another of its name is
    a fault."""
    first: dict[tuple[str, str, str], ObjectReader] = {}
    for entry in objects:
        other = first.setdefault((entry.kind, *entry.key), entry)
        if other is entry or not entry.name:
            yield entry
        elif entry.value != other.value:
            entry.fault(("metadata", "name"), f"is declared a second time, first at {place(other)}")


def forgotten_clients(services: Iterable[tuple[ObjectReader, Service]], checks: Checks) -> None:
    """Session affinity that does not keep all clients, in one warning."""
    sticky = [entry for entry, service in services if service.affinity_seconds]
    if not sticky or not checks.remembers_clients:
        return
    few = f"only the last {checks.remembers_clients} clients of an endpoint are kept (sluice_affinity_clients)"
    more = f", of {len(sticky)} Services" if sticky[1:] else ""
    sticky[0].fault(("spec", "sessionAffinity"), few + more, warning=True)


def service_conflicts(services: Iterable[tuple[ObjectReader, Service]], checks: Checks) -> None:
    """Two Services with one address:port:protocol or one node port; addresses that are a node's own."""
    taken: dict[tuple[str, int, str], Declared] = {}
    node_ports: dict[tuple[int, str], Declared] = {}
    own = set(checks.node_addresses)
    for entry, service in services:
        for path, address in service_addresses(service):
            # A port without a number has its fault already.
            for port in (port for port in service.ports if port.port):
                other, its = taken.setdefault((address, port.port, port.protocol), (entry, path))
                if other is not entry:
                    message = f"{addresses.host_port(address, port.port)}/{port.protocol} is {other.subject}'s as well"
                    there = place(other, declared_at(other, its, address))
                    entry.fault(declared_at(entry, path, address), f"{message} ({there})")
            if address in own:
                ports = ", ".join(f"{port.port}/{port.protocol}" for port in service.ports)
                message = f"{address} is a node's own address: what it serves itself on {ports} is not reached there"
                entry.fault(declared_at(entry, path, address), message, warning=True)
        for address in service.cluster_ips:
            if checks.service_cidrs and not any(addresses.contains(net, address) for net in checks.service_cidrs):
                message = f"{address} is not in sluice_service_cidrs ({', '.join(checks.service_cidrs)})"
                entry.fault(declared_at(entry, ("spec", "clusterIP"), address), message, warning=True)
        here: set[tuple[int, str]] = set()
        for path, number, protocol in service_node_ports(service):
            other, its = node_ports.setdefault((number, protocol), (entry, path))
            if other is not entry:
                message = f"node port {number}/{protocol} is {other.subject}'s as well ({place(other, its)})"
                entry.fault(path, message)
            elif (number, protocol) in here:
                entry.fault(path, f"node port {number}/{protocol} is there twice")
            here.add((number, protocol))


def service_node_ports(service: Service) -> Iterator[tuple[Path, int, str]]:
    """Where each node port stands, its number and its protocol."""
    for index, port in enumerate(service.ports):
        if port.node_port:
            yield ("spec", "ports", index, "nodePort"), port.node_port, port.protocol
    if service.health_check_node_port:
        yield ("spec", "healthCheckNodePort"), service.health_check_node_port, "TCP"


def service_addresses(service: Service) -> Iterator[tuple[Path, str]]:
    """Where each address stands, and the address."""
    for address in service.cluster_ips:
        yield ("spec", "clusterIP"), address
    for index, address in enumerate(service.external_ips):
        yield ("spec", "externalIPs", index), address
    for index, entry in enumerate(service.ingress):
        yield ("status", "loadBalancer", "ingress", index, "ip"), entry.address


def host_port_conflicts(host_ports: Iterable[tuple[ObjectReader, HostPort]]) -> None:
    first: dict[tuple[str, str, str, int], ObjectReader] = {}
    chains: dict[tuple[str, str], ObjectReader] = {}
    for entry, port in host_ports:
        other = first.setdefault((port.node, port.host_ip, port.protocol, port.host_port), entry)
        what = f"host port {port.host_port}/{port.protocol} on node {port.node}"
        if other is not entry:
            entry.fault(("spec", "containers"), f"{what} is {other.subject}'s as well ({place(other)})")
            continue
        # A chain leads to one container. Its name knows no hostIP, and without a uid the Pod shop/a with port 1234 has
        # the same as shop/a1 with port 234.
        key = port.node, names.host_port_chain_name(port.pod_id, port.host_port, port.protocol)
        if key in chains:
            message = f"{what} has the same chain as one of {chains[key].subject} ({place(chains[key])})"
            entry.fault(("spec", "containers"), f"{message}: one hostIP a port, and a uid a Pod")
        chains[key] = entry
