"""What a Service wants to be given, because its manifest declares none: addresses and node ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .. import addresses
from .checks import DEFAULT_SERVICE_CIDRS, Checks
from .model import Service
from .reader import ObjectReader
from .services import balancer_status, is_others

POOL = ("sluice.io/pool", "metallb.io/address-pool", "metallb.universe.tf/address-pool")
SHARING = ("sluice.io/allow-shared-ip", "metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip")


class Wanted(NamedTuple):
    """What one Service asks for.

    ``families``: of all its cluster IPs, declared ones included, in their order. ``node_ports``: whether ports without
    one get one. ``balancer``: whether it needs a load balancer's address, ``pool`` from which pool (``""``: any that
    is for it), ``sharing``: the key of those with whom it shares one.
    """

    families: tuple[str, ...]
    node_ports: bool
    health_check: bool
    balancer: bool
    pool: str
    sharing: str


def wanted(entry: ObjectReader, service: Service, checks: Checks, had: Sequence[str] = ()) -> Wanted:
    """What the Service wants, by its spec and annotations as an API server reads them.

    ``had``: the families of the cluster IPs that it was given before. It keeps them where it names none and where it
    asks for both, also in a run that knows only some of the nodes.
    """
    spec, path = entry.mapping(entry.value, "spec", ()), ("spec",)
    balancer = service.type == "LoadBalancer"
    allocates = entry.flag(spec, "allocateLoadBalancerNodePorts", path, True)
    return Wanted(
        families=_families(entry, service, checks, had),
        node_ports=service.type == "NodePort" or (balancer and allocates),
        health_check=balancer and service.external_local and not service.health_check_node_port,
        # A status that names a host is somebody's answer, too.
        balancer=balancer
        and not service.ingress
        and not any(balancer_status(entry))
        and not is_others(service.load_balancer_class),
        pool=entry.first_annotation(POOL)[1],
        sharing=entry.first_annotation(SHARING)[1],
    )


def _families(entry: ObjectReader, service: Service, checks: Checks, had: Sequence[str]) -> tuple[str, ...]:
    """The families of the Service's cluster IPs (KEP-563). Those of a cluster are here the nodes' that have a range."""
    spec, path = entry.mapping(entry.value, "spec", ()), ("spec",)
    programmed = checks.ip_families or addresses.FAMILIES
    ranges = {addresses.family_of(net) for net in checks.service_cidrs or DEFAULT_SERVICE_CIDRS}
    there = [family for family in programmed if family in ranges]
    declared = [addresses.family_of(text) for text in service.cluster_ips]
    if entry.faulty:
        return tuple(declared)
    named = [family for family in entry.items(spec, "ipFamilies", path) if family in addresses.FAMILIES]
    found = list(dict.fromkeys([*named, *declared])) or [*had, *there, *addresses.FAMILIES][:1]
    policy = service.ip_family_policy
    if policy in ("PreferDualStack", "RequireDualStack"):
        found = list(dict.fromkeys([*found, *there, *had]))
    if policy == "RequireDualStack" and len(found) < len(addresses.FAMILIES):
        message = "RequireDualStack needs both families, in sluice_ip_families and in sluice_service_cidrs"
        entry.fault((*path, "ipFamilyPolicy"), message)
    for family in found:
        if family not in declared and family not in programmed:
            where = (*path, "ipFamilies" if family in named else "ipFamilyPolicy")
            entry.fault(where, f"no node programs {family} (sluice_ip_families)", warning=True)
    return tuple(found)
