"""What rules tell of Services, as the manifests of which they would come again. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .. import addresses
from ..catalogue.reader import ANNOTATION_PREFIX

Object = dict[str, Any]

NAMESPACE = "imported"
"""That of all Services and Pods that have lost their names."""

STAND_IN = {addresses.IPV4: "192.0.2.1", addresses.IPV6: "2001:db8::1"}
"""For endpoints of other nodes of which rules say that there are some, and nothing else (RFC 5737, RFC 3849)."""


_ENDS, _NEAR, _FAR = "ends", "near", "far"
_ANOTHER_NODE = "elsewhere"


class RecoverError(ValueError):
    """Rules say what no Service can be, or nothing of Services; the message says which."""


class Port(NamedTuple):
    """A service port as the rules of one address family have it.

    ``ingress`` and ``source_ranges`` are its load balancer's; ``node_may_enter``: the ranges have the node's address.
    ``refused``: addresses from outside that have no endpoints, be they its load balancer's or not. ``targets``: its
    endpoints, as address and port; ``local``: those of them that are known to be on the node; ``ending``: those that
    terminate, and serve meanwhile; ``passed_over``: those that hints leave to other nodes. ``elsewhere``: there are
    others, which no rule names. ``hashed`` and ``weights``: how it is balanced where that is not by chance, or
    not evenly among the addresses.
    """

    namespace: str
    service: str
    name: str
    protocol: str
    number: int
    cluster_ip: str
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    ingress: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    node_may_enter: bool = False
    affinity_seconds: int = 0
    external_local: bool = False
    internal_local: bool = False
    health_check_node_port: int = 0
    targets: tuple[tuple[str, int], ...] = ()
    local: frozenset[tuple[str, int]] = frozenset()
    ending: frozenset[tuple[str, int]] = frozenset()
    passed_over: frozenset[tuple[str, int]] = frozenset()
    elsewhere: bool = False
    hashed: str = ""
    weights: Mapping[str, int] = {}

    @property
    def family(self) -> str:
        return addresses.family_of(self.cluster_ip)

    def state(self, target: tuple[str, int]) -> str:
        """Why an endpoint counts or does not."""
        if target in self.ending:
            return _ENDS
        return "" if not self.passed_over else _FAR if target in self.passed_over else _NEAR

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.service}"


def objects(ports: Iterable[Port], node: str) -> Iterator[Object]:
    """The Services with their EndpointSlices. What is on the node that is called so has its name."""
    services: dict[str, list[Port]] = {}
    here: set[str] = set()
    for port in ports:
        services.setdefault(port.full_name, []).append(port)
        here.update(address for address, _number in port.local)
    for name in sorted(services):
        yield _service(services[name])
        yield from _slices(services[name], _local(services[name], here), node)


def _local(ports: list[Port], here: set[str]) -> set[str]:
    """What of a Service's endpoints is on the node: as its own rules say where a policy asks, else as others' do."""
    if any(port.external_local or port.internal_local for port in ports):
        return {address for port in ports for address, _number in port.local}
    return here


def _service(ports: list[Port]) -> Object:
    first = ports[0]
    cluster_ips = list(dict.fromkeys(port.cluster_ip for port in ports))
    external_ips = _all(port.external_ips for port in ports)
    ingress = _all(port.ingress for port in ports)
    ranges = _all(port.source_ranges for port in ports)
    node_ports = any(port.node_port for port in ports)
    health = max(port.health_check_node_port for port in ports)
    external_local = bool(health) or any(port.external_local for port in ports)
    # A load balancer of policy Local would have a port for health checks, and the rules of that.
    (ingress if node_ports and (health or not external_local) else external_ips).extend(
        ip for ip in _all(port.refused for port in ports) if ip not in (*ingress, *external_ips)
    )
    kind = "LoadBalancer" if ingress else "NodePort" if node_ports else "ClusterIP"
    some_have_none = node_ports and not all(port.node_port for port in ports)
    if health or some_have_none or (external_local and not node_ports and not external_ips):
        kind = "LoadBalancer"
    spec: Object = {
        "type": kind,
        "clusterIP": cluster_ips[0],
        "clusterIPs": cluster_ips,
        "ipFamilies": [addresses.family_of(each) for each in cluster_ips],
        "ports": _ports(ports),
    }
    if external_ips:
        spec["externalIPs"] = external_ips
    if external_local:
        spec["externalTrafficPolicy"] = "Local"
    if any(port.internal_local for port in ports):
        spec["internalTrafficPolicy"] = "Local"
    if kind == "LoadBalancer" and (some_have_none or not node_ports):
        spec["allocateLoadBalancerNodePorts"] = False
    if health:
        spec["healthCheckNodePort"] = health
    if ranges:
        spec["loadBalancerSourceRanges"] = ranges
    seconds = max(port.affinity_seconds for port in ports)
    if seconds:
        spec["sessionAffinity"] = "ClientIP"
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    annotations = _annotations(ports)
    found = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": first.service,
            "namespace": first.namespace,
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": spec,
    }
    if ingress:
        found["status"] = {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}}
    return found


def _annotations(ports: list[Port]) -> dict[str, str]:
    """How the Service is balanced, where kube-proxy has no words for it."""
    weights = {address: weight for port in ports for address, weight in port.weights.items()}
    said = {
        "hash": next(filter(None, (port.hashed for port in ports)), ""),
        "weight": ", ".join(f"{address}={weight}" for address, weight in weights.items()),
    }
    return {f"{ANNOTATION_PREFIX}{name}": value for name, value in said.items() if value}


def _ports(ports: list[Port]) -> list[Object]:
    """The ports of the Service, each once, whatever families it has."""
    found: dict[tuple[str, str, int], Object] = {}
    for port in ports:
        of = found.setdefault((port.name, port.protocol, port.number), {"port": port.number})
        of["protocol"] = port.protocol.upper()
        if port.name:
            of["name"] = port.name
        if port.node_port:
            of["nodePort"] = port.node_port
        numbers = {number for _address, number in port.targets}
        if len(numbers) == 1:
            of["targetPort"] = min(numbers)
    return list(found.values())


def _slices(ports: list[Port], here: set[str], node: str) -> Iterator[Object]:
    """A slice for each family, port and number that endpoints of it have; those that are alike in all else are one."""
    alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[Object]] = {}
    for port in ports:
        numbers: dict[int, list[tuple[str, str]]] = {}
        for address, number in port.targets:
            numbers.setdefault(number, []).append((address, port.state((address, number))))
        if port.elsewhere:
            numbers.setdefault(port.number, []).append((STAND_IN[port.family], ""))
        for number, found in numbers.items():
            entry = {"name": port.name, "port": number, "protocol": port.protocol.upper()}
            alike.setdefault((port.family, tuple(found)), []).append(entry)
    first = ports[0]
    for count, ((family, behind), entries) in enumerate(alike.items(), 1):
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{first.service}-{count}",
                "namespace": first.namespace,
                "labels": {"kubernetes.io/service-name": first.service},
            },
            "addressType": family,
            "ports": entries,
            "endpoints": [_endpoint(address, node, state, address in here) for address, state in behind],
        }


def _endpoint(address: str, node: str, state: str, here: bool) -> Object:
    found: Object = {"addresses": [address]}
    if here:
        found["nodeName"] = node
    if state in (_NEAR, _FAR):
        found["hints"] = {"forNodes": [{"name": node if state == _NEAR else _ANOTHER_NODE}]}
    if state == _ENDS:
        found["conditions"] = {"ready": False, "serving": True, "terminating": True}
    return found


def _all(several: Iterable[tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(itertools.chain.from_iterable(several)))
