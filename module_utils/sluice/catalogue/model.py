"""The catalogue: all Services, their endpoints, host ports and Nodes, validated as one whole.

``manifests`` and ``build`` make one out of what people write, ``compiled`` keeps it; this module says what it holds.
Every value is canonical here (addresses as inet_ntop prints them, networks without host bits, defaults
filled in), so what comes after never looks at a manifest again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

ZONE_LABEL = "topology.kubernetes.io/zone"
"""The label of a Node that says in which zone it is."""

AFFINITY_SECONDS = 10800
"""How long ClientIP affinity lasts where the Service does not say (Kubernetes' default, three hours)."""


EVERY_NODE = "*"
"""The node of an endpoint that counts as every node's own."""


class Endpoint(NamedTuple):
    """One endpoint of an EndpointSlice.

    The conditions are resolved as kube-proxy does: ``ready`` and ``serving`` are true unless said otherwise,
    ``terminating`` is false. ``weight`` is None where none is given (ipvs: the node's default).
    """

    address: str
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()
    weight: int | None = None


class SlicePort(NamedTuple):
    """A port that all endpoints of a slice have."""

    name: str
    protocol: str
    port: int


class EndpointSlice(NamedTuple):
    """Endpoints of one address family with the same ports (KEP-752)."""

    family: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]


class ServicePort(NamedTuple):
    """One port of a Service. ``target`` is a number or the name of a port of the endpoints; ``node_port`` 0: none."""

    name: str
    protocol: str
    port: int
    target: int | str
    node_port: int = 0


class Ingress(NamedTuple):
    """An address of a load balancer; with mode ``Proxy`` it is not for this node to capture (KEP-1860)."""

    address: str
    mode: str = "VIP"


class Service(NamedTuple):
    """A Service. ``affinity_seconds`` 0: no session affinity.

    An ExternalName Service has an ``external_name``; it and a headless one have no ``cluster_ips``.
    """

    namespace: str
    name: str
    type: str
    cluster_ips: tuple[str, ...]
    ports: tuple[ServicePort, ...]
    slices: tuple[EndpointSlice, ...] = ()
    external_ips: tuple[str, ...] = ()
    ingress: tuple[Ingress, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0
    external_local: bool = False
    internal_local: bool = False
    health_check_node_port: int = 0
    annotations: tuple[tuple[str, str], ...] = ()
    """What kube-proxy cannot say: ``sluice.io/…``, without that prefix."""
    labels: tuple[tuple[str, str], ...] = ()
    selector: tuple[tuple[str, str], ...] = ()
    external_name: str = ""
    load_balancer_class: str = ""
    publishes_not_ready: bool = False
    ip_family_policy: str = ""
    """As it is declared; ``""``: one family, or both if there are two cluster IPs."""
    created: str = ""
    """When it was (RFC 3339), where that is known. This and what comes from ``labels`` on is for people only."""

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


class HostPort(NamedTuple):
    """A container port of a Pod that its node answers on (``hostPort``). ``host_ip`` is empty for every address."""

    namespace: str
    pod: str
    pod_id: str
    node: str
    protocol: str
    host_ip: str
    host_port: int
    addresses: tuple[str, ...]
    port: int


class Node(NamedTuple):
    """A Kubernetes Node: where it is (labels) and its internal addresses; the rest is for people."""

    name: str
    labels: tuple[tuple[str, str], ...]
    addresses: tuple[str, ...]
    external_addresses: tuple[str, ...] = ()
    status: str = "Unknown"
    """``Ready``, ``NotReady`` or ``Unknown``, and ``,SchedulingDisabled`` where it is cordoned."""
    info: tuple[tuple[str, str], ...] = ()
    """Its ``status.nodeInfo``: ``kubeletVersion``, ``osImage`` and the like."""
    created: str = ""


class Catalogue(NamedTuple):
    """Everything that was declared. ``idle`` are the Services that program no rules: headless, ExternalName,
    another proxy's."""

    services: tuple[Service, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    nodes: tuple[Node, ...] = ()
    idle: tuple[Service, ...] = ()

    def node_labels(self, name: str) -> Mapping[str, str]:
        """The labels of the Node ``name``; none where the catalogue does not have it."""
        return next((dict(node.labels) for node in self.nodes if node.name == name), {})
