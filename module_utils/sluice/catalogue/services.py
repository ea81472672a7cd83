"""A Service, from its manifest."""

from __future__ import annotations

from typing import Any

from .. import addresses, balancing
from ..forms import LABEL
from .checks import Checks
from .model import AFFINITY_SECONDS, Ingress, Service, ServicePort
from .reader import (
    PROTOCOLS,
    SERVICE_PROXY_NAME_LABEL,
    ObjectReader,
    annotation,
    distinct,
    known_annotations,
    port_name,
    short,
)
from .syntax import Path

SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
POLICIES = ("Cluster", "Local")


def read_service(entry: ObjectReader, checks: Checks) -> Service | None:
    """The Service, or None where it programs no rules: headless, ExternalName, or another proxy's."""
    spec, path = entry.mapping(entry.value, "spec", ()), ("spec",)
    kind = entry.choice(spec, "type", path, SERVICE_TYPES, "ClusterIP")
    cluster_ips = _cluster_ips(entry, spec)
    ports = _service_ports(entry, spec, checks)
    external = entry.choice(spec, "externalTrafficPolicy", path, POLICIES, "Cluster")
    internal = entry.choice(spec, "internalTrafficPolicy", path, POLICIES, "Cluster")
    found = Service(
        namespace=entry.namespace,
        name=entry.name,
        type=kind,
        cluster_ips=cluster_ips,
        ports=ports,
        external_ips=distinct(
            entry.outward(value, (*path, "externalIPs", index))
            for index, value in enumerate(entry.items(spec, "externalIPs", path))
        ),
        ingress=_ingress(entry, spec, kind),
        source_ranges=_source_ranges(entry, spec),
        affinity_seconds=_affinity(entry, spec),
        external_local=external == "Local",
        internal_local=internal == "Local",
        health_check_node_port=_health_check(entry, spec, kind, external, checks),
        annotations=tuple(known_annotations(entry).items()),
        labels=tuple(entry.labels.items()),
        selector=tuple(entry.strings(spec, "selector", path).items()),
        external_name=entry.text(spec, "externalName", path),
        load_balancer_class=entry.text(spec, "loadBalancerClass", path),
        publishes_not_ready=entry.flag(spec, "publishNotReadyAddresses", path, False),
        created=entry.created,
    )
    for name, message in balancing.faults(found.annotations, checks.schedulers):
        entry.fault(annotation(name), message)
    if SERVICE_PROXY_NAME_LABEL in entry.labels or kind == "ExternalName" or "None" in _raw_cluster_ips(spec):
        return None
    if not ports:
        entry.fault(("spec", "ports"), "a Service needs a port")
    if not cluster_ips and not entry.faulty:
        entry.fault(path, "has no clusterIP: it programs no rules", warning=True)
    return found


def _raw_cluster_ips(spec: dict[str, Any]) -> list[Any]:
    several = spec.get("clusterIPs")
    return [spec.get("clusterIP"), *(several if isinstance(several, list) else [])]


def _cluster_ips(entry: ObjectReader, spec: dict[str, Any]) -> tuple[str, ...]:
    """clusterIPs, or clusterIP where only that is given."""
    if "None" in _raw_cluster_ips(spec):
        return ()
    several = distinct(
        entry.address(value, ("spec", "clusterIPs", index))
        for index, value in enumerate(entry.items(spec, "clusterIPs", ("spec",)))
    )
    single = entry.text(spec, "clusterIP", ("spec",))
    if single:
        address = entry.address(single, ("spec", "clusterIP"))
        if several and address and address != several[0]:
            entry.fault(("spec", "clusterIPs"), f"must begin with clusterIP {address}, begins with {several[0]}")
        elif address:
            several = several or (address,)
    families = [addresses.family_of(text) for text in several]
    for family in addresses.FAMILIES:
        if families.count(family) > 1:
            entry.fault(("spec", "clusterIPs"), f"has more than one {family} address")
    for index, family in enumerate(entry.items(spec, "ipFamilies", ("spec",))):
        if family not in addresses.FAMILIES:
            message = f"{short(family)} is not one of {', '.join(addresses.FAMILIES)}"
            entry.fault(("spec", "ipFamilies", index), message)
        elif index < len(several) and families[index] != family:
            entry.fault(("spec", "ipFamilies", index), f"is {family}, but the cluster IP is {several[index]}")
    return several


def _service_ports(entry: ObjectReader, spec: dict[str, Any], checks: Checks) -> tuple[ServicePort, ...]:
    ports: list[ServicePort] = []
    by_name: set[tuple[str, str]] = set()
    by_number: set[tuple[int, str]] = set()
    for path, value in entry.mappings(spec, "ports", ("spec",)):
        name = port_name(entry, value, path)
        protocol = entry.choice(value, "protocol", path, PROTOCOLS, "TCP")
        number = entry.port(value, "port", path)
        node_port = _node_port(entry, value, "nodePort", path, checks)
        if (name, protocol) in by_name:
            entry.fault((*path, "name"), f"two {protocol} ports have the name {name!r}")
        elif number and (number, protocol) in by_number:
            entry.fault((*path, "port"), f"{number}/{protocol} is there twice")
        by_name.add((name, protocol))
        by_number.add((number, protocol))
        ports.append(ServicePort(name, protocol, number, _target_port(entry, value, path, number), node_port))
    return tuple(ports)


def _target_port(entry: ObjectReader, value: dict[str, Any], path: Path, default: int) -> int | str:
    target = value.get("targetPort")
    if isinstance(target, str):
        if not LABEL.fullmatch(target):
            entry.fault((*path, "targetPort"), f"{short(target)} is neither a port number nor the name of a port")
            return default
        return target
    return entry.number(value, "targetPort", path, 1, 65535, default)


def _node_port(entry: ObjectReader, holder: dict[str, Any], key: str, path: Path, checks: Checks) -> int:
    """A port of the node's own, 0 for none (which manifests may say, too)."""
    if holder.get(key) in (None, 0):
        return 0
    number = entry.number(holder, key, path, 1, 65535, 0)
    low, high = checks.nodeport_range
    if number and not low <= number <= high:
        entry.fault((*path, key), f"{number} is not in the range of node ports {low}-{high}")
    return number


def _ingress(entry: ObjectReader, spec: dict[str, Any], kind: str) -> tuple[Ingress, ...]:
    """The load balancer's addresses: what its status says, else the one that the spec asks for.

    In a cluster a controller answers spec.loadBalancerIP with a status; here nobody else is there to do it.
    """
    status = entry.mapping(entry.mapping(entry.value, "status", ()), "loadBalancer", ("status",))
    found: list[Ingress] = []
    for path, value in entry.mappings(status, "ingress", ("status", "loadBalancer")):
        mode = entry.choice(value, "ipMode", path, ("VIP", "Proxy"), "VIP")
        if value.get("ip") is not None:
            address = entry.address(value["ip"], (*path, "ip"))
            if address:
                found.append(Ingress(address, mode))
        elif not value.get("hostname"):
            entry.fault(path, "has neither ip nor hostname")
    wanted = entry.text(spec, "loadBalancerIP", ("spec",))
    if wanted and kind == "LoadBalancer":
        address = entry.address(wanted, ("spec", "loadBalancerIP"))
        if address and not found:
            found.append(Ingress(address))
    return tuple(dict.fromkeys(found))


def _source_ranges(entry: ObjectReader, spec: dict[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for index, value in enumerate(entry.items(spec, "loadBalancerSourceRanges", ("spec",))):
        network = addresses.network(value)
        if network:
            found.append(network)
        else:
            entry.fault(("spec", "loadBalancerSourceRanges", index), f"{short(value)} is not a CIDR")
    return tuple(found)


def _affinity(entry: ObjectReader, spec: dict[str, Any]) -> int:
    wanted = entry.choice(spec, "sessionAffinity", ("spec",), ("None", "ClientIP"), "None")
    config = entry.mapping(spec, "sessionAffinityConfig", ("spec",))
    path = ("spec", "sessionAffinityConfig", "clientIP")
    client = entry.mapping(config, "clientIP", path[:2])
    seconds = entry.number(client, "timeoutSeconds", path, 1, 86400, AFFINITY_SECONDS)
    return seconds if wanted == "ClientIP" else 0


def _health_check(entry: ObjectReader, spec: dict[str, Any], kind: str, policy: str, checks: Checks) -> int:
    """healthCheckNodePort, which counts for a LoadBalancer with policy Local only (as for kube-proxy)."""
    number = _node_port(entry, spec, "healthCheckNodePort", ("spec",), checks)
    return number if kind == "LoadBalancer" and policy == "Local" else 0
