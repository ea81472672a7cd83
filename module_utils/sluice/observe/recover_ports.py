"""From the service ports that are found in rules to those of which manifests are made. Pure."""

from __future__ import annotations

import re

from .. import addresses, forms
from .recovered import Port, RecoverError
from .service_ports import LOCAL, NO_LOCAL_ENDPOINTS, Endpoints, ServicePort

_NAME = re.compile(r"(?P<namespace>[^/:\s]+)/(?P<service>[^/:\s]+)(?::(?P<name>[^/:\s]*))?")

NOWHERE = {addresses.IPV4: "0.0.0.0/32", addresses.IPV6: "::/128"}
"""The network of node ports where no address serves them."""


def port_of(found: ServicePort) -> Port:
    """What manifests say of a service port. Raises RecoverError."""
    name = _NAME.fullmatch(found.name)
    if name is None or not forms.SERVICE_PORT.fullmatch(found.name):
        raise RecoverError(f"{found.name!r} is no name of a Service's port")
    if not found.cluster_ip:
        raise RecoverError(f"{found.name}: no rule has its cluster IP")
    everywhere, local = _targets(found.endpoints), _targets(found.local_endpoints)
    # With policy Local its own rules tell which they are.
    others = () if LOCAL in (found.internal_policy, found.external_policy) else found.on_node
    # Where none of the node's is ready, those that terminate are used, while others have ready ones (KEP-1669).
    left_out = frozenset(local).difference(everywhere) if everywhere else frozenset()
    they_end = left_out.issuperset(local)
    unsure = found.unsure_ips
    return Port(
        name["namespace"],
        name["service"],
        name["name"] or "",
        found.protocol,
        found.port,
        found.cluster_ip,
        node_port=found.node_port,
        external_ips=tuple(each for each in found.external_ips if each not in unsure),
        ingress=found.load_balancer_ips,
        refused=unsure,
        source_ranges=tuple(each if "/" in each else addresses.host_network(each) for each in found.source_ranges),
        node_may_enter=found.node_may_enter,
        affinity_seconds=found.affinity_seconds,
        external_local=found.external_policy == LOCAL,
        internal_local=found.internal_policy == LOCAL,
        health_check_node_port=found.health_check_node_port,
        targets=tuple(dict.fromkeys((*everywhere, *local))),
        local=frozenset((*local, *map(addresses.split_port, others))),
        ending=left_out if they_end else frozenset(),
        passed_over=frozenset() if they_end else left_out,
        elsewhere=NO_LOCAL_ENDPOINTS in (found.inside, found.outside) and not (everywhere or local),
    )


def _targets(endpoints: Endpoints) -> tuple[tuple[str, int], ...]:
    return tuple(addresses.split_port(each.text) for each in endpoints)


def check(port: Port) -> None:
    """Asks whether what a dump says may stand in manifests. Raises RecoverError."""
    own = (port.cluster_ip, *port.external_ips, *port.ingress, *port.refused, *(each[0] for each in port.targets))
    numbers = (port.number, *(number for _address, number in port.targets), port.node_port or 1)
    seconds = port.affinity_seconds
    for said, well in (
        ("name", bool(forms.SERVICE_PORT.fullmatch(f"{port.full_name}:{port.name}"))),
        ("protocol", port.protocol in ("tcp", "udp", "sctp")),
        ("address", forms.address(own)),
        ("port", forms.port(numbers)),
        ("source range", forms.network(port.source_ranges)),
        ("timeout", forms.whole(0, 86400)([seconds])),
    ):
        if not well:
            raise RecoverError(f"{port.full_name!r}: its {said} is none that a Service can have")
