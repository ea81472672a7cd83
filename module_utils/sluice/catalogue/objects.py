"""The catalogue as the objects that an API server would show: the way back of what reads manifests.

Given to ``sluice`` again they are the same Services and Nodes. Endpoints say less than EndpointSlices: hints stay
behind, and what terminates is left out, as Kubernetes leaves it out. Their ``subsets`` are arranged as Kubernetes does
it: an address stands in one, with all of its ports.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .. import addresses
from .model import EVERY_NODE, Catalogue, EndpointSlice, Node, Service, ServicePort, SlicePort
from .reader import ANNOTATION_PREFIX

HEADLESS = "None"
"""What stands for the cluster IP of a headless Service."""

EXTERNAL_NAME = "ExternalName"
CORDONED = "SchedulingDisabled"

Object = dict[str, Any]


class Address(NamedTuple):
    """An endpoint as Endpoints have it."""

    ip: str
    node: str
    ready: bool


class Subset(NamedTuple):
    """Addresses that have the same ports, in the order of their text."""

    ports: tuple[SlicePort, ...]
    addresses: tuple[Address, ...]


def services(catalogue: Catalogue) -> list[Service]:
    """All Services in the order of an API server, those that program no rules among them.

    A headless one has the cluster IP ``None``, as an API server says it.
    """
    idle = (
        service if service.cluster_ips or service.type == EXTERNAL_NAME else service._replace(cluster_ips=(HEADLESS,))
        for service in catalogue.idle
    )
    return sorted((*catalogue.services, *idle), key=lambda service: service.full_name)


def with_endpoints(catalogue: Catalogue) -> list[Service]:
    """The Services that have Endpoints, be they empty: all but ExternalNames."""
    return [service for service in services(catalogue) if service.type != EXTERNAL_NAME]


def nodes(catalogue: Catalogue) -> list[Node]:
    """All Nodes in the order of an API server."""
    return sorted(catalogue.nodes, key=lambda node: node.name)


def subsets(slices: Iterable[EndpointSlice]) -> list[Subset]:
    """``slices`` as the subsets of an Endpoints object."""
    ports: dict[Address, dict[SlicePort, None]] = {}
    for piece in slices:
        for end in piece.endpoints:
            if end.ready or not end.terminating:
                node = "" if end.node == EVERY_NODE else end.node
                ports.setdefault(Address(end.address, node, end.ready), {}).update(dict.fromkeys(piece.ports))
    by_ports: dict[tuple[SlicePort, ...], list[Address]] = {}
    for address, several in ports.items():
        by_ports.setdefault(tuple(several), []).append(address)
    return [Subset(several, tuple(sorted(found))) for several, found in by_ports.items()]


def service_object(service: Service) -> Object:
    """A v1 Service, with the defaults of an API server."""
    status: Object = {}
    if service.ingress:
        status["ingress"] = [{"ip": address, "ipMode": mode} for address, mode in service.ingress]
    annotations = {ANNOTATION_PREFIX + name: value for name, value in service.annotations}
    return {
        **_head("Service", service, annotations),
        "spec": _spec(service),
        "status": {"loadBalancer": status},
    }


def _spec(service: Service) -> Object:
    spec: Object = {
        "type": service.type,
        "sessionAffinity": "ClientIP" if service.affinity_seconds else "None",
        "ports": [_service_port(port) for port in service.ports],
        "selector": dict(service.selector),
        "externalName": service.external_name,
        "externalIPs": list(service.external_ips),
        "loadBalancerClass": service.load_balancer_class,
        "loadBalancerSourceRanges": list(service.source_ranges),
        "healthCheckNodePort": service.health_check_node_port,
        "publishNotReadyAddresses": service.publishes_not_ready,
    }
    if service.cluster_ips:
        spec["clusterIP"], spec["clusterIPs"] = service.cluster_ips[0], list(service.cluster_ips)
        if service.cluster_ips[0] != HEADLESS:
            spec["ipFamilies"] = list(map(addresses.family_of, service.cluster_ips))
            plain = "SingleStack" if len(service.cluster_ips) == 1 else "PreferDualStack"
            spec["ipFamilyPolicy"] = service.ip_family_policy or plain
    if service.affinity_seconds:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": service.affinity_seconds}}
    if service.type != EXTERNAL_NAME:
        spec["internalTrafficPolicy"] = _policy(service.internal_local)
    if service.type in ("NodePort", "LoadBalancer") or service.external_ips or service.external_local:
        spec["externalTrafficPolicy"] = _policy(service.external_local)
    spec = {key: value for key, value in spec.items() if value}
    if service.type == "LoadBalancer":
        # Where a port has none it was not to have one: who reads this would give it one.
        spec["allocateLoadBalancerNodePorts"] = all(port.node_port for port in service.ports)
    return spec


def _policy(local: bool) -> str:
    return "Local" if local else "Cluster"


def _service_port(port: ServicePort) -> Object:
    found: Object = {"port": port.port, "protocol": port.protocol, "targetPort": port.target}
    if port.name:
        found["name"] = port.name
    if port.node_port:
        found["nodePort"] = port.node_port
    return found


def endpoints_object(service: Service) -> Object:
    """The v1 Endpoints of a Service, with its labels, as Kubernetes makes them. Weights are an annotation of it."""
    several = subsets(service.slices)
    shown = {address.ip for subset in several for address in subset.addresses}
    weights = {end.address: end.weight for piece in service.slices for end in piece.endpoints if end.address in shown}
    weight = ", ".join(f"{address}={number}" for address, number in weights.items() if number is not None)
    found = _head("Endpoints", service, {f"{ANNOTATION_PREFIX}weight": weight} if weight else {})
    return {**found, "subsets": list(map(_subset_object, several))} if several else found


def _subset_object(subset: Subset) -> Object:
    found: Object = {}
    for address in subset.addresses:
        key = "addresses" if address.ready else "notReadyAddresses"
        entry = {"ip": address.ip, "nodeName": address.node} if address.node else {"ip": address.ip}
        found.setdefault(key, []).append(entry)
    if subset.ports:
        found["ports"] = [_endpoint_port(port) for port in subset.ports]
    return found


def _endpoint_port(port: SlicePort) -> Object:
    found: Object = {"port": port.port, "protocol": port.protocol}
    return {"name": port.name, **found} if port.name else found


def node_object(node: Node) -> Object:
    """A v1 Node."""
    ready, _comma, cordoned = node.status.partition(",")
    kinds = {"InternalIP": node.addresses, "ExternalIP": node.external_addresses}
    condition = {"Ready": "True", "NotReady": "False"}.get(ready)
    status: Object = {
        "addresses": [{"address": address, "type": kind} for kind, several in kinds.items() for address in several],
        "conditions": [{"status": condition, "type": "Ready"}] if condition else [],
        "nodeInfo": dict(node.info),
    }
    return {
        **_head("Node", node),
        "spec": {"unschedulable": True} if cordoned == CORDONED else {},
        "status": {key: value for key, value in status.items() if value},
    }


def _head(kind: str, of: Service | Node, annotations: dict[str, str] | None = None) -> Object:
    metadata = {
        "name": of.name,
        "namespace": of.namespace if isinstance(of, Service) else "",
        "labels": dict(of.labels),
        "annotations": annotations,
        "creationTimestamp": of.created,
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": {key: value for key, value in metadata.items() if value}}
