"""How many rules, virtual servers or elements a service port takes, in each backend.

What a rule set has is compared with it, and what another backend would have is reckoned by it. The formulas are after
kube-proxy's source (1.15 to 1.23, and since 1.24) and Sluice's flat nftables.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..addresses import IPV4
from .service_ports import IPTABLES, IPVS, LOCAL, NO_LOCAL_ENDPOINTS, SLUICE, ServicePort


class Style(NamedTuple):
    """What of iptables' rules is the same for all Services of a node.

    ``is_old``: cut into chains as up to 1.23. ``masquerades``: whether a ClusterIP has a rule that does.
    ``tells_pods``: whether traffic policy Local has one for clients in the cluster's own network.
    ``counts_localhost``: whether node ports have one more, for loopback (kube-proxy's metrics, where there is nfacct).
    ``marks_drops``: whether a chain of load balancer IPs has a mark for others instead of a rule in filter, as up to
    1.25; ``always_fences``: whether each load balancer IP leads to such a chain, with source ranges or without.
    """

    is_old: bool = False
    masquerades: bool = True
    tells_pods: bool = True
    counts_localhost: bool = False
    marks_drops: bool = False
    always_fences: bool = False


class Size(NamedTuple):
    """What one service port, or several, would take: rules of iptables, virtual and real servers, elements."""

    rules: int = 0
    virtual_servers: int = 0
    real_servers: int = 0
    elements: int = 0


def entries(port: ServicePort, style: Style) -> int | None:
    """How many entries a service port has to have where it is; None where no law tells (kube-proxy's nftables)."""
    if port.source.startswith(IPTABLES):
        return rules(port, style)
    if port.source == IPVS:
        return sum(virtual_servers(port, 0))  # which tell themselves on how many addresses of the node they are
    return elements(port) if port.source == SLUICE else None


def rules(port: ServicePort, style: Style) -> int:
    """The rules of a service port in iptables mode."""
    return _rules_up_to_123(port, style) if style.is_old else _rules_since_124(port, style)


def _rules_since_124(port: ServicePort, style: Style) -> int:
    outer = _outer(port)
    found = _common(port, style) + bool(port.health_check_node_port)
    if port.outside:
        found += outer
    if outer and _is_served(port):
        is_local = port.external_policy == LOCAL
        found += outer + (2 + style.tells_pods + bool(port.local_endpoints) if is_local else 2)
        if port.node_port and style.counts_localhost:
            found += port.family == IPV4
        vips = len(port.load_balancer_ips)
        if vips and style.marks_drops and (port.source_ranges or style.always_fences):
            found += vips * ((len(port.source_ranges) or 1) + 1)
        elif vips and port.source_ranges:
            found += len(port.source_ranges) + 1 + vips
    return found


def _rules_up_to_123(port: ServicePort, style: Style) -> int:
    found = _common(port, style) + bool(port.health_check_node_port)
    is_local = port.external_policy == LOCAL
    # KUBE-XLB: pods, the node itself twice, and one that drops where the node has no endpoint.
    chain = 2 + style.tells_pods + (port.outside == NO_LOCAL_ENDPOINTS) if is_local else 0
    if not _is_served(port):
        return found + _outer(port) + chain
    vips = len(port.load_balancer_ips)
    found += len(port.external_ips) * (2 if is_local else 3) + (2 if port.node_port else 0) + chain
    return found + vips * (1 + (not is_local) + (len(port.source_ranges) or 1) + 1)


def _common(port: ServicePort, style: Style) -> int:
    """The ClusterIP's, and the chains of endpoints."""
    served = _is_served(port) and not port.inside
    per_endpoint = 2 if port.affinity_seconds else 1
    lists = per_endpoint * (len(port.endpoints) + len(port.local_endpoints))
    return bool(port.cluster_ip) + (served and style.masquerades) + lists + 2 * len(port.all_endpoints)


def virtual_servers(port: ServicePort, own: int) -> tuple[int, int]:
    """The virtual and the real servers of a service port on a node with so many addresses of its ``own``."""
    at_node = (len(port.node_addresses) or own) if port.node_port else 0
    outer = len(port.external_ips) + len(port.load_balancer_ips) + at_node
    local = len(port.local_endpoints)
    inside = local if port.internal_policy == LOCAL else len(port.endpoints)
    outside = local if port.external_policy == LOCAL else len(port.endpoints)
    return bool(port.cluster_ip) + outer, (inside if port.cluster_ip else 0) + outer * outside


def elements(port: ServicePort) -> int:
    """The elements of a service port in Sluice's nftables, without those that endpoints share."""
    outer, per_endpoint = _outer(port), 2 if port.affinity_seconds else 1
    found = bool(port.cluster_ip) + (outer if _is_served(port) else 0) + (outer if port.outside else 0)
    if port.source_ranges and _is_served(port):
        found += len(port.source_ranges) + len(port.load_balancer_ips)
    lists = (len(port.endpoints), len(port.local_endpoints))
    return found + sum(1 + per_endpoint * each for each in lists if each)


def _outer(port: ServicePort) -> int:
    return len(port.external_ips) + len(port.load_balancer_ips) + bool(port.node_port)


def _is_served(port: ServicePort) -> bool:
    """Whether any node has an endpoint for it."""
    return bool(port.endpoints or port.local_endpoints or NO_LOCAL_ENDPOINTS in (port.inside, port.outside))


def size(ports: Iterable[ServicePort], style: Style, own: int) -> Size:
    """What service ports take in each backend."""
    found = Size()
    pods: set[str] = set()
    for port in ports:
        virtual, real = virtual_servers(port, own)
        pods.update(text.rpartition(":")[0] for text in port.all_endpoints)
        found = Size(
            found.rules + rules(port, style),
            found.virtual_servers + virtual,
            found.real_servers + real,
            found.elements + elements(port),
        )
    return found._replace(elements=found.elements + len(pods))
