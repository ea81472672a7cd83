"""How a service port is cut into chains up to 1.23: KUBE-XLB for policy Local, masquerading next to the dispatch.

::

    KUBE-SERVICES --ClusterIP------------------> KUBE-SVC   all endpoints
    KUBE-SERVICES --external IP----------------> KUBE-SVC, or KUBE-XLB with policy Local
    KUBE-SERVICES --load balancer--------------> KUBE-FW    allowed sources go on to KUBE-SVC or KUBE-XLB
    KUBE-NODEPORTS --node port-----------------> KUBE-SVC, or KUBE-XLB with policy Local
    KUBE-XLB ----------------------------------> KUBE-SEP   the local endpoints; what the node sends goes to KUBE-SVC
    KUBE-SVC ----------------------------------> KUBE-SEP   one per endpoint: the destination is rewritten
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import addresses
from ...view import PortView, Target
from .chains import balance, chain_of, endpoints, masquerade_cluster_ip, source_ranges
from .common import LOCAL_DESTINATION, LOCAL_SOURCE, OFF_MACHINE, Context, Entry, source, to, to_port
from .text import comment


def service_port(port: PortView, context: Context) -> Iterator[Entry]:
    """All rules of one service port."""
    yield from _dispatch(port, context)
    yield from _chains(port, context)


def _dispatch(port: PortView, context: Context) -> Iterator[Entry]:
    """The masquerading is in the shared chains, next to the jump that it belongs to."""
    name, protocol = port.display_name, port.protocol
    svc, xlb, firewall = chain_of("KUBE-SVC-", port), chain_of("KUBE-XLB-", port), chain_of("KUBE-FW-", port)
    outside = xlb if port.external_local else svc
    if not port.has_endpoints:
        why = comment(f"{name} has no endpoints")
        yield "filter", "KUBE-SERVICES", f"{to(port.cluster_ip, protocol, port.port)(why)} -j {context.reject()}"
        for ip in port.external_ips + port.load_balancer_ips:
            to_ip = to(ip, protocol, port.port)(why)
            yield "filter", "KUBE-EXTERNAL-SERVICES", f"{to_ip} -j {context.reject()}"
        if port.node_port:
            to_node = to_port(protocol, port.node_port, f"{why} {LOCAL_DESTINATION}")
            yield "filter", "KUBE-EXTERNAL-SERVICES", f"{to_node} -j {context.reject()}"
        return

    yield from masquerade_cluster_ip(port, context, "KUBE-SERVICES")
    to_cluster_ip = to(port.cluster_ip, protocol, port.port)(comment(f"{name} cluster IP"))
    yield "nat", "KUBE-SERVICES", f"{to_cluster_ip} -j {svc}"

    for ip in port.external_ips:
        to_ip = to(ip, protocol, port.port)(comment(f"{name} external IP"))
        if not port.external_local:
            yield "nat", "KUBE-SERVICES", f"{to_ip} -j KUBE-MARK-MASQ"
        yield "nat", "KUBE-SERVICES", f"{to_ip} {OFF_MACHINE} -j {outside}"
        # Besides, what the node sends to an address of its own.
        yield "nat", "KUBE-SERVICES", f"{to_ip} {LOCAL_DESTINATION} -j {outside}"

    for ip in port.load_balancer_ips:
        about = comment(f"{name} loadbalancer IP")
        yield "nat", "KUBE-SERVICES", f"{to(ip, protocol, port.port)(about)} -j {firewall}"
        if not port.external_local:
            yield "nat", firewall, f"{about} -j KUBE-MARK-MASQ"
        if port.source_ranges:
            yield from source_ranges(port, context, firewall, outside, (ip,))
        else:
            yield "nat", firewall, f"{about} -j {outside}"
        yield "nat", firewall, f"{about} -j KUBE-MARK-DROP"

    if port.node_port:
        to_node = to_port(protocol, port.node_port, comment(name))
        from_loopback = f"-s {addresses.LOOPBACK[context.family]} " if port.external_local else ""
        yield "nat", "KUBE-NODEPORTS", f"{from_loopback}{to_node} -j KUBE-MARK-MASQ"
        yield "nat", "KUBE-NODEPORTS", f"{to_node} -j {outside}"


def _chains(port: PortView, context: Context) -> Iterator[Entry]:
    """SVC with all endpoints, XLB with the local ones, one SEP per endpoint."""
    name = port.display_name
    svc, xlb = chain_of("KUBE-SVC-", port), chain_of("KUBE-XLB-", port)
    if port.external_local:
        yield "nat", xlb, ""
    if not port.has_endpoints:
        return

    def comment_of(_target: Target) -> str:
        return comment(name) if context.endpoint_comments else ""

    yield from balance(port, context, svc, port.cluster, comment_of)
    yield from endpoints(port, context)
    if not port.external_local:
        return
    if context.cluster_cidr:
        redirect = comment("Redirect pods trying to reach external loadbalancer VIP to clusterIP")
        yield "nat", xlb, f"{source(context.cluster_cidr)}{redirect} -j {svc}"
    masquerade = comment(f"masquerade LOCAL traffic for {name} LB IP")
    yield "nat", xlb, f"{masquerade} {LOCAL_SOURCE} -j KUBE-MARK-MASQ"
    yield "nat", xlb, f"{comment(f'route LOCAL traffic for {name} LB IP to service chain')} {LOCAL_SOURCE} -j {svc}"
    if not port.local:
        yield "nat", xlb, f"{comment(f'{name} has no local endpoints')} -j KUBE-MARK-DROP"
    order = {target: index for index, target in enumerate(port.local)}
    yield from balance(
        port,
        context,
        xlb,
        port.local,
        lambda target: comment(f"Balancing rule {order[target]} for {name}"),
        lambda _target: comment(name),
    )
