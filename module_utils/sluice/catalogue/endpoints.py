"""The endpoints of Services: EndpointSlices, Endpoints, and inventory hosts that a selector selects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .. import addresses, balancing
from .hosts import EndpointHost
from .model import EVERY_NODE, Endpoint, EndpointSlice, Service, SlicePort
from .reader import (
    PROTOCOLS,
    SERVICE_NAME_LABEL,
    ObjectReader,
    annotation,
    known_annotations,
    passed_over,
    port_name,
)
from .syntax import Path

HOSTNAME_LABEL = "kubernetes.io/hostname"
SKIP_MIRROR_LABEL = "endpointslice.kubernetes.io/skip-mirror"
"""On Endpoints that Kubernetes does not make into slices, so that a kube-proxy never meets them."""


def read_slices(entries: Iterable[ObjectReader]) -> dict[tuple[str, str], list[EndpointSlice]]:
    found: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for entry in entries:
        piece = _slice(entry)
        if piece:
            found[owner(entry)].append(piece)
    return found


def _slice(entry: ObjectReader) -> EndpointSlice | None:
    kind = _address_type(entry)
    ports = tuple(_slice_ports(entry))
    if kind == "FQDN":
        return None
    (piece,) = _weighted(entry, [EndpointSlice(kind, ports, tuple(_endpoints(entry, kind)))])
    return piece._replace(ports=tuple(port for port in ports if port.port))


def _address_type(entry: ObjectReader) -> str:
    """The slice's addressType. Where it has none or a wrong one, it is what its first endpoint's address says."""
    several = (value.get("addresses") for _path, value in entry.mappings(entry.value, "endpoints", ()))
    first = next((texts[0] for texts in several if isinstance(texts, list) and texts), "")
    default = addresses.family_of(addresses.address(first))
    kind = entry.choice(entry.value, "addressType", (), (*addresses.FAMILIES, "FQDN"), default)
    if entry.value.get("addressType") in (None, ""):
        entry.fault(("addressType",), f"is missing: taken as {kind}", warning=True)
    return kind


def _slice_ports(entry: ObjectReader) -> Iterator[SlicePort]:
    """All ports of a slice. Without a number (or 0) one stands for all ports, which no Service's port can use."""
    named: set[str] = set()
    for where, value in entry.mappings(entry.value, "ports", ()):
        name = port_name(entry, value, where)
        if value.get("name") in (None, name):
            if name in named:
                entry.fault((*where, "name"), f"two ports have the name {name!r}")
            named.add(name)
        protocol = entry.choice(value, "protocol", where, PROTOCOLS, "TCP")
        yield SlicePort(name, protocol, entry.number(value, "port", where, 0, 65535, 0))


def _endpoints(entry: ObjectReader, family: str) -> Iterator[Endpoint]:
    beta = str(entry.value["apiVersion"]).endswith("beta1")
    for path, value in entry.mappings(entry.value, "endpoints", ()):
        conditions = entry.mapping(value, "conditions", path)
        where = (*path, "conditions")
        hints = entry.mapping(value, "hints", path)
        texts = [
            entry.outward(text, (*path, "addresses", index), family)
            for index, text in enumerate(entry.items(value, "addresses", path))
        ]
        if value.get("addresses") in (None, []):
            entry.fault((*path, "addresses"), "is missing")
        # Consumers take the first address: all of them stand for the same endpoint (KEP-752).
        address = texts[0] if texts else ""
        topology = entry.mapping(value, "topology" if beta else "deprecatedTopology", path)
        if address:
            yield Endpoint(
                address=address,
                node=entry.node_name(value, "nodeName", path) or entry.node_name(topology, HOSTNAME_LABEL, path),
                ready=entry.flag(conditions, "ready", where, True),
                serving=entry.flag(conditions, "serving", where, True),
                terminating=entry.flag(conditions, "terminating", where, False),
                zone_hints=_hints(entry, hints, "forZones", (*path, "hints")),
                node_hints=tuple(map(str.lower, _hints(entry, hints, "forNodes", (*path, "hints")))),
            )


def _weighted(entry: ObjectReader, slices: Sequence[EndpointSlice]) -> list[EndpointSlice]:
    """``slices`` with the weights that an annotation of their object gives their endpoints."""
    given = known_annotations(entry).get("weight", "")
    try:
        plain, by_address = balancing.weights(given)
    except ValueError as error:
        entry.fault(annotation("weight"), str(error))
        return list(slices)
    known = {endpoint.address for piece in slices for endpoint in piece.endpoints}
    for address in by_address:
        if address not in known:
            entry.fault(annotation("weight"), f"{address} is none of its endpoints", warning=True)
    if not given:
        return list(slices)
    return [
        piece._replace(
            endpoints=tuple(end._replace(weight=by_address.get(end.address, plain)) for end in piece.endpoints)
        )
        for piece in slices
    ]


def _hints(entry: ObjectReader, hints: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    if not hints:
        return ()
    return tuple(entry.text(value, "name", where) for where, value in entry.mappings(hints, key, path))


def read_endpoints(entry: ObjectReader) -> list[EndpointSlice]:
    """A v1 Endpoints object as slices, as Kubernetes mirrors it."""
    found: list[EndpointSlice] = []
    for path, subset in entry.mappings(entry.value, "subsets", ()):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            entry.fault(path, "has neither addresses nor notReadyAddresses")
        ports = tuple(_subset_ports(entry, subset, path))
        endpoints: dict[str, list[Endpoint]] = defaultdict(list)
        for key, ready in (("addresses", True), ("notReadyAddresses", False)):
            for where, value in entry.mappings(subset, key, path):
                address = entry.outward(value.get("ip"), (*where, "ip"))
                node = entry.node_name(value, "nodeName", where)
                if address:
                    endpoints[addresses.family_of(address)].append(Endpoint(address, node, ready, ready))
        found += (EndpointSlice(family, ports, tuple(several)) for family, several in endpoints.items())
    return _weighted(entry, found)


def _subset_ports(entry: ObjectReader, subset: dict[str, Any], path: Path) -> Iterator[SlicePort]:
    found = list(entry.mappings(subset, "ports", path))
    for where, value in found:
        name = port_name(entry, value, where)
        protocol = entry.choice(value, "protocol", where, PROTOCOLS, "TCP")
        if len(found) > 1 and value.get("name") in (None, ""):
            entry.fault((*where, "name"), "is missing: of several ports, each has a name")
        number = entry.port(value, "port", where)
        if number:
            yield SlicePort(name, protocol, number)


def publish(slices: Iterable[EndpointSlice], service: Service) -> tuple[EndpointSlice, ...]:
    """``slices`` with every endpoint ready where the Service wants that, as the EndpointSlice controller does."""
    if not service.publishes_not_ready:
        return tuple(slices)
    return tuple(
        piece._replace(endpoints=tuple(end._replace(ready=True, serving=True) for end in piece.endpoints))
        for piece in slices
    )


# --- which Service they are of


def owner(entry: ObjectReader) -> tuple[str, str]:
    """Namespace and name of the Service that an EndpointSlice or Endpoints are of; the name ``""`` for none."""
    label = entry.kind == "EndpointSlice"
    return entry.namespace, entry.labels.get(SERVICE_NAME_LABEL, "") if label else entry.name


def served(
    entries: Iterable[ObjectReader],
    services: Mapping[tuple[str, str], ObjectReader],
    slices: Collection[tuple[str, str]] = (),
    *,
    whole: bool = True,
) -> Iterator[ObjectReader]:
    """Those of ``entries`` that are some Service's; ``slices``: the Services that have slices, which count anyway.

    The others, which other controllers, leader election or a Service that went have left behind, get a warning at
    most: kube-proxy never looks at them. ``whole``: whether ``services`` are all that there are; else none is missing.
    """
    for entry in entries:
        whose = owner(entry)
        by_label = entry.kind == "EndpointSlice"
        path = ("metadata", "labels", SERVICE_NAME_LABEL) if by_label else ("metadata", "name")
        if passed_over(entry):
            continue
        if not by_label and entry.labels.get(SKIP_MIRROR_LABEL) == "true":
            if whose not in slices:
                entry.fault(("metadata", "labels", SKIP_MIRROR_LABEL), "left out: it says so itself", warning=True)
        elif not whose[1]:
            entry.fault(path, "is missing: a slice of no Service is left out", warning=True)
        elif whose not in services:
            if whole:
                entry.fault(path, f"left out: there is no Service {'/'.join(whose)}", warning=True)
        else:
            yield entry


def selected(entry: ObjectReader, service: Service, hosts: Sequence[EndpointHost]) -> tuple[EndpointSlice, ...]:
    """The inventory hosts that the Service's selector selects, as slices: one for each family and set of ports."""
    spec = entry.mapping(entry.value, "spec", ())
    wanted = dict(service.selector)
    if not wanted:
        return ()
    near = entry.text(spec, "trafficDistribution", ("spec",))
    found: dict[tuple[str, tuple[SlicePort, ...]], list[Endpoint]] = defaultdict(list)
    first: dict[tuple[str, tuple[SlicePort, ...]], str] = {}
    for host in hosts:
        if not wanted.items() <= dict(host.labels).items():
            continue
        ports = tuple(_host_target_ports(entry, service, host))
        ready = host.ready or service.publishes_not_ready
        for address in host.addresses:
            other = first.setdefault((address, ports), host.name)
            if other != host.name:
                message = f"hosts {other} and {host.name} are one endpoint: both have the address {address}"
                entry.fault(("spec", "selector"), message, warning=True)
            endpoint = Endpoint(
                address,
                host.node,
                ready,
                ready,
                zone_hints=(host.zone,) if near.startswith("Prefer") and host.zone else (),
                node_hints=(host.node,) if near == "PreferSameNode" and host.node != EVERY_NODE else (),
                weight=host.weight,
            )
            found[(addresses.family_of(address), ports)].append(endpoint)
    return tuple(EndpointSlice(family, ports, tuple(several)) for (family, ports), several in found.items())


def _host_target_ports(entry: ObjectReader, service: Service, host: EndpointHost) -> Iterator[SlicePort]:
    for index, port in enumerate(service.ports):
        number = port.target if isinstance(port.target, int) else host.ports.get(port.target)
        if number:
            yield SlicePort(port.name, port.protocol, number)
        elif isinstance(port.target, str):
            message = f"host {host.name} has no port {port.target!r} in its sluice_ports"
            entry.fault(("spec", "ports", index, "targetPort"), message, warning=True)


def ports_have_slices(entry: ObjectReader, service: Service) -> None:
    """A port whose name stands in none of the slices has no endpoint, and is refused.

    A cluster's controller leaves a port out where no Pod has one of its name. Slices without endpoints do not count:
    a cluster's have no ports either.
    """
    offered = {(port.name, port.protocol) for piece in service.slices if piece.endpoints for port in piece.ports}
    called = {name for name, _protocol in offered}
    if not any(piece.endpoints for piece in service.slices):
        return
    for index, port in enumerate(service.ports):
        if (port.name, port.protocol) in offered:
            continue
        path = ("spec", "ports", index, "name" if port.name else "port")
        kind = f"{port.protocol} port" if port.name in called else "port"
        what = f"{kind} named {port.name!r}" if port.name else f"{kind} without a name"
        entry.fault(path, f"its endpoints have no {what}: nothing will answer", warning=True)
