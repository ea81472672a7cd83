"""From the service ports that are found in rules to those of which manifests are made. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from .. import addresses, forms
from .recover_host_ports import HostPort
from .recovered import Port, RecoverError
from .service_ports import LOCAL, NO_LOCAL_ENDPOINTS, Endpoints, ServicePort

NAME = re.compile(r"(?P<namespace>[^/:\s]+)/(?P<service>[^/:\s]+)(?::(?P<name>[^/:\s]*))?")
"""What is meant to be the name of a service port, whether a Service may be called so or not."""

NOWHERE = {addresses.IPV4: "0.0.0.0/32", addresses.IPV6: "::/128"}
"""The network of node ports where no address serves them."""


BY_INTERFACE = "an interface tells what comes from Pods, sluice_cluster_cidrs has to say which addresses do"

_NAMED = 5
"""Services that a warning names."""


class Found(NamedTuple):
    """What the rules of one address family tell. ``said``: the settings of the node that are not as they are where
    nobody says so, by their names without the prefix."""

    ports: list[Port]
    said: dict[str, Any]
    warnings: list[str]
    host_ports: Sequence[HostPort] = ()


def some(names: Collection[str]) -> str:
    """Names in a warning."""
    first = ", ".join(sorted(names)[:_NAMED])
    return f"{first} and {len(names) - _NAMED} more" if len(names) > _NAMED else first


def port_of(found: ServicePort) -> Port:
    """What manifests say of a service port. Raises RecoverError."""
    name = NAME.fullmatch(found.name)
    if name is None or not forms.SERVICE_PORT.fullmatch(found.name):
        raise RecoverError(f"{found.name!r} is no name of a Service's port")
    if not found.cluster_ip:
        raise RecoverError(f"{found.name}: no rule has its cluster IP")
    everywhere, local = _targets(found.endpoints), _targets(found.local_endpoints)
    here, kept = (frozenset(map(addresses.split_port, texts)) for texts in (found.on_node, found.kept or ()))
    # Where none of the node's is ready, those that terminate are used, while others have ready ones (KEP-1669).
    left_out = frozenset(local).difference(everywhere) if everywhere else frozenset()
    they_end = left_out.issuperset(local) if found.kept is None else left_out <= kept
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
        targets=tuple(dict.fromkeys((*everywhere, *local, *sorted(kept)))),
        local=here.union(local),
        ending=kept.union(left_out if they_end else ()),
        passed_over=frozenset() if they_end else left_out,
        elsewhere=NO_LOCAL_ENDPOINTS in (found.inside, found.outside) and not (everywhere or local),
        hashed=found.hashed,
        weights={} if found.hashed else {**_weights(found.local_endpoints), **_weights(found.endpoints)},
    )


def unsure(ports: Sequence[Port], family: str) -> tuple[list[Port], list[str]]:
    """Ports of nftables, which has one map for external IPs and addresses of load balancers, and a warning of that.

    Those of a Service with node ports are taken for its load balancer's: others seldom have both.
    """
    of_nodes = {port.full_name for port in ports if port.node_port}
    doubtful = {port.full_name for port in ports if port.refused}
    taken = [
        port._replace(ingress=(*port.ingress, *port.refused), refused=()) if port.full_name in of_nodes else port
        for port in ports
    ]
    about = "nftables does not tell external IPs from addresses of load balancers, with node ports they are the latter"
    return taken, [f"{family}: {some(doubtful)}: {about}"] if doubtful else []


def _weights(endpoints: Endpoints) -> dict[str, int]:
    """The weights of endpoints by their addresses, where these differ."""
    if len({each.share for each in endpoints}) < _DIFFERENT:
        return {}
    whole = math.lcm(*(each.share.denominator for each in endpoints))
    return {addresses.split_port(each.text)[0]: int(each.share * whole) for each in endpoints}


_DIFFERENT = 2


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
