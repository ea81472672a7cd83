"""How a service port is cut into chains since 1.24: one chain per traffic policy.

::

    KUBE-SERVICES --ClusterIP-----------------> KUBE-SVC   all endpoints (KUBE-SVL with internalTrafficPolicy Local)
    KUBE-SERVICES --external IP, load balancer-> KUBE-EXT   masquerades, then KUBE-SVC, or KUBE-SVL with policy Local
    KUBE-SERVICES --load balancer with ranges--> KUBE-FW    allowed sources go on to KUBE-EXT
    KUBE-NODEPORTS --node port-----------------> KUBE-EXT
    KUBE-SVC, KUBE-SVL ------------------------> KUBE-SEP   one per endpoint: the destination is rewritten
"""

from __future__ import annotations

from collections.abc import Iterator

from ...view import PortView, Target
from .chains import balance, chain_of, endpoints, has_firewall, internal_chain, masquerade_cluster_ip, source_ranges
from .common import LOCAL_DESTINATION, LOCAL_SOURCE, Context, Entry, commented, source, to, to_port
from .text import comment


def service_port(port: PortView, context: Context) -> Iterator[Entry]:
    """All rules of one service port."""
    yield from _dispatch(port, context)
    if port.has_endpoints:
        yield from _chains(port, context)


def _dispatch(port: PortView, context: Context) -> Iterator[Entry]:
    """Where a packet for one of the port's addresses goes, and what refuses it where nothing answers."""
    name, protocol = port.display_name, port.protocol
    ext, firewall = chain_of("KUBE-EXT-", port), chain_of("KUBE-FW-", port)
    to_vip = firewall if has_firewall(port) else ext
    inside = port.has_endpoints and not (port.internal_local and not port.local)
    outside = port.has_endpoints and not (port.external_local and not port.local)
    if port.has_endpoints:
        refusal, why = "DROP", comment(f"{name} has no local endpoints")
    else:
        refusal, why = context.reject(), comment(f"{name} has no endpoints")

    to_cluster_ip = to(port.cluster_ip, protocol, port.port)
    if inside:
        yield "nat", "KUBE-SERVICES", f"{to_cluster_ip(comment(f'{name} cluster IP'))} -j {internal_chain(port)}"
    else:
        yield "filter", "KUBE-SERVICES", f"{to_cluster_ip(why)} -j {refusal}"

    for kind, ips, chain in (
        ("external IP", port.external_ips, ext),
        ("loadbalancer IP", port.load_balancer_ips, to_vip),
    ):
        for ip in ips:
            to_ip = to(ip, protocol, port.port)
            if port.has_endpoints:
                yield "nat", "KUBE-SERVICES", f"{to_ip(comment(f'{name} {kind}'))} -j {chain}"
            if not outside:
                yield "filter", "KUBE-EXTERNAL-SERVICES", f"{to_ip(why)} -j {refusal}"
            if chain == firewall:
                refused = comment(f"{name} traffic not accepted by {firewall}")
                yield "filter", "KUBE-PROXY-FIREWALL", f"{to_ip(refused)} -j DROP"

    if port.node_port:
        if port.has_endpoints:
            yield "nat", "KUBE-NODEPORTS", f"{to_port(protocol, port.node_port, comment(name))} -j {ext}"
        if not outside:
            to_node = to_port(protocol, port.node_port, f"{why} {LOCAL_DESTINATION}")
            yield "filter", "KUBE-EXTERNAL-SERVICES", f"{to_node} -j {refusal}"
    if port.health_check_node_port:
        # Answered on this node whether it has local endpoints or not: the answer says which.
        about = comment(f"{name} health check node port")
        yield "filter", "KUBE-NODEPORTS", f"{to_port('tcp', port.health_check_node_port, about)} -j ACCEPT"


def _chains(port: PortView, context: Context) -> Iterator[Entry]:
    """The chains of a service port that has endpoints: SVC, SVL, EXT, FW, and one SEP per endpoint."""
    name = port.display_name
    svc, svl, ext = chain_of("KUBE-SVC-", port), chain_of("KUBE-SVL-", port), chain_of("KUBE-EXT-", port)
    if not port.internal_local or port.local:
        yield from masquerade_cluster_ip(port, context, internal_chain(port))

    if port.external:
        about = commented(f"{name} external destinations")
        if not port.external_local:
            yield "nat", ext, f"{about('masquerade traffic for')} -j KUBE-MARK-MASQ"
        else:
            if context.cluster_cidr:
                yield "nat", ext, f"{source(context.cluster_cidr)}{about('pod traffic for')} -j {svc}"
            yield "nat", ext, f"{about('masquerade LOCAL traffic for')} {LOCAL_SOURCE} -j KUBE-MARK-MASQ"
            yield "nat", ext, f"{about('route LOCAL traffic for')} {LOCAL_SOURCE} -j {svc}"
        if not port.external_local:
            yield "nat", ext, f"-j {svc}"
        elif port.local:
            yield "nat", ext, f"-j {svl}"

    if has_firewall(port):
        firewall = chain_of("KUBE-FW-", port)
        yield from source_ranges(port, context, firewall, ext, port.load_balancer_ips)
        rest = comment(f"other traffic to {name} will be dropped by KUBE-PROXY-FIREWALL")
        yield "nat", firewall, rest

    def comment_of(target: Target) -> str:
        return comment(f"{name} -> {target.text}") if context.endpoint_comments else ""

    yield from balance(port, context, svc, port.cluster, comment_of)
    yield from balance(port, context, svl, port.local, comment_of)
    yield from endpoints(port, context)
