"""All objects to one catalogue: every fault is found in one run, and named with its place.

What Kubernetes' API server would refuse is refused here, as far as it matters to the rules; fields that do not matter
are not looked at. Nothing that passes can be more than a name, a number or an address, so no text of an input ever
becomes a rule.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..faults import Fault, InputError
from .allocation import NOTHING_GIVEN, Allocated, Allocations, allocate
from .checks import NO_CHECKS, Checks
from .conflicts import distinct_objects, forgotten_clients, host_port_conflicts, service_conflicts
from .endpoints import owner, ports_have_slices, publish, read_endpoints, read_slices, selected, served
from .fields import unknown_fields
from .health_checks import Pods
from .hosts import EndpointHost
from .manifests import LISTS, Manifest
from .model import Catalogue, Service
from .nodes import read_node
from .pods import read_host_ports
from .reachability import unreachable
from .reader import ObjectReader, plain_fault, short
from .services import is_idle, read_service

MAX_KIND = 120
"""Characters of an unknown kind that a warning shows."""

_ALIKE = 0.8
"""How much of a kind has to be there for a typo: neither Secret nor ServiceAccount is a Service (difflib's ratio)."""

_KINDS = {
    ("v1", "Service"): "Service",
    ("v1", "Endpoints"): "Endpoints",
    ("v1", "Pod"): "Pod",
    ("v1", "Node"): "Node",
    ("discovery.k8s.io/v1", "EndpointSlice"): "EndpointSlice",
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): "EndpointSlice",
}


class Built(NamedTuple):
    """A catalogue, usable only where no fault is more than a warning, and what its Services were given."""

    catalogue: Catalogue
    faults: list[Fault]
    allocated: Allocated


def build(
    manifests: Iterable[Manifest],
    hosts: Sequence[EndpointHost] = (),
    checks: Checks = NO_CHECKS,
    given: Allocations = NOTHING_GIVEN,
    *,
    whole: bool = True,
) -> Built:
    """The catalogue of ``manifests`` and of the inventory ``hosts``, with every fault and warning.

    ``given``: what Services that declare no address or node port were given before. ``whole``: whether these are all
    manifests and hosts; of others that could not be read nobody knows what there is, so nothing is said to be missing.
    """
    faults: list[Fault] = []
    by_kind: dict[str, list[ObjectReader]] = defaultdict(list)
    for entry in distinct_objects(_known_objects(manifests, faults)):
        by_kind[entry.kind].append(entry)
        unknown_fields(entry)

    declared = {entry.key: entry for entry in by_kind["Service"]}
    slices = read_slices(served(by_kind["EndpointSlice"], declared, whole=whole))
    legacy = {entry.key: read_endpoints(entry) for entry in served(by_kind["Endpoints"], declared, slices, whole=whole)}
    # What is wrong with an object is reported once: what follows from it is not.
    unsound = {owner(entry) for kind in ("EndpointSlice", "Endpoints") for entry in by_kind[kind] if entry.faulty}

    pods = Pods({entry.key: entry for entry in by_kind["Pod"]}, whole)
    services: list[tuple[ObjectReader, Service]] = []
    idle: list[Service] = []
    for entry in by_kind["Service"]:
        service = read_service(entry, checks, pods)
        if entry.key in slices:
            service = service._replace(slices=tuple(slices[entry.key]))
        elif entry.key in legacy:
            service = service._replace(slices=publish(legacy[entry.key], service))
        else:
            service = service._replace(slices=selected(entry, service, hosts))
        if is_idle(entry, service):
            idle.append(service)
            continue
        if whole and (entry.key in slices or entry.key in legacy) and not entry.faulty and entry.key not in unsound:
            ports_have_slices(entry, service)
        services.append((entry, service))

    host_ports = [(entry, port) for entry in by_kind["Pod"] for port in read_host_ports(entry)]
    allocated = allocate(services, idle, (port for _entry, port in host_ports), checks, given)
    services = [(entry, service) for (entry, _before), service in zip(services, allocated.services)]
    service_conflicts(services, checks)
    forgotten_clients(services, checks)
    if checks.inventory and whole:
        unreachable(services, checks)
    host_port_conflicts(host_ports)
    nodes = {node.name: node for node in (*checks.nodes, *map(read_node, by_kind["Node"]))}
    catalogue = Catalogue(
        services=tuple(service for _entry, service in sorted(services, key=lambda pair: pair[0].key)),
        host_ports=tuple(port for _entry, port in host_ports),
        nodes=tuple(nodes[name] for name in sorted(nodes)),
        idle=tuple(sorted(idle, key=lambda service: (service.namespace, service.name))),
    )
    return Built(catalogue, faults + allocated.faults, allocated)


def checked(catalogue: Catalogue, faults: Sequence[Fault]) -> Catalogue:
    """``catalogue``; raises InputError where a fault is more than a warning."""
    if any(not fault.warning for fault in faults):
        raise InputError(faults)
    return catalogue


def _known_objects(manifests: Iterable[Manifest], faults: list[Fault]) -> Iterator[ObjectReader]:
    unknown: set[str] = set()
    for manifest in manifests:
        value = manifest.value
        if not isinstance(value, dict):
            # Text of which nothing is known may be a password.
            found = "text" if isinstance(value, str) else short(value)
            plain_fault(faults, manifest, "", f"must be an object with apiVersion and kind, is {found}")
            continue
        version, kind = value.get("apiVersion"), value.get("kind")
        if not isinstance(version, str) or not isinstance(kind, str):
            missing = "apiVersion" if not isinstance(version, str) else "kind"
            plain_fault(faults, manifest, missing, "must be a string" if value.get(missing) else "is missing")
            continue
        if kind in LISTS:  # else it would have been taken apart
            plain_fault(faults, manifest, "items", "must be a list")
            continue
        known = _KINDS.get((version, kind))
        name = f"{version} {kind}"
        if known:
            yield ObjectReader(manifest, known, faults)
        elif name not in unknown:
            unknown.add(name)
            cut = name if len(name) <= MAX_KIND else f"{name[:MAX_KIND]}…"
            near = difflib.get_close_matches(name, map(" ".join, _KINDS), n=1, cutoff=_ALIKE)
            hint = f" (did you mean {near[0]}?)" if near else ""
            message = f"{cut} is not a kind that Sluice knows{hint}: its objects are left out"
            plain_fault(faults, manifest, "kind", message, warning=True)
