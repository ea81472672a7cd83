"""The endpoints of Services: EndpointSlices, Endpoints, and inventory hosts that a selector selects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .. import addresses, balancing
from .hosts import EndpointHost
from .model import Endpoint, EndpointSlice, Service, SlicePort
from .reader import (
    PROTOCOLS,
    SERVICE_NAME_LABEL,
    SERVICE_PROXY_NAME_LABEL,
    ObjectReader,
    annotation,
    known_annotations,
    port_name,
)
from .syntax import Path

HOSTNAME_LABEL = "kubernetes.io/hostname"


def read_slices(entries: Iterable[ObjectReader]) -> dict[tuple[str, str], list[EndpointSlice]]:
    found: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for entry in entries:
        labels = entry.labels
        piece = _slice(entry)
        if piece and SERVICE_PROXY_NAME_LABEL not in labels:
            found[(entry.namespace, labels.get(SERVICE_NAME_LABEL, ""))].append(piece)
    return found


def _slice(entry: ObjectReader) -> EndpointSlice | None:
    kind = entry.choice(entry.value, "addressType", (), (*addresses.FAMILIES, "FQDN"), addresses.IPV4)
    ports = tuple(_slice_ports(entry, entry.value, ()))
    if kind == "FQDN":
        return None
    (piece,) = _weighted(entry, [EndpointSlice(kind, ports, tuple(_endpoints(entry, kind)))])
    return piece


def _slice_ports(entry: ObjectReader, holder: dict[str, Any], path: Path) -> Iterator[SlicePort]:
    for where, value in entry.mappings(holder, "ports", path):
        name = port_name(entry, value, where)
        protocol = entry.choice(value, "protocol", where, PROTOCOLS, "TCP")
        # A port without a number stands for all ports, which no Service's port can use.
        number = entry.number(value, "port", where, 1, 65535, 0)
        if number:
            yield SlicePort(name, protocol, number)


def _endpoints(entry: ObjectReader, family: str) -> Iterator[Endpoint]:
    beta = str(entry.value["apiVersion"]).endswith("beta1")
    for path, value in entry.mappings(entry.value, "endpoints", ()):
        conditions = entry.mapping(value, "conditions", path)
        where = (*path, "conditions")
        hints = entry.mapping(value, "hints", path)
        # Consumers take the first address: all of them stand for the same endpoint (KEP-752).
        texts = entry.items(value, "addresses", path)
        address = entry.outward(texts[0], (*path, "addresses", 0), family) if texts else ""
        if not texts:
            entry.fault((*path, "addresses"), "is missing")
        topology = entry.mapping(value, "topology" if beta else "deprecatedTopology", path)
        if address:
            yield Endpoint(
                address=address,
                node=entry.node_name(value, "nodeName", path) or entry.node_name(topology, HOSTNAME_LABEL, path),
                ready=entry.flag(conditions, "ready", where, True),
                serving=entry.flag(conditions, "serving", where, True),
                terminating=entry.flag(conditions, "terminating", where, False),
                zone_hints=_hints(entry, hints, "forZones", (*path, "hints")),
                node_hints=_hints(entry, hints, "forNodes", (*path, "hints")),
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
        ports = tuple(_slice_ports(entry, subset, path))
        endpoints: dict[str, list[Endpoint]] = defaultdict(list)
        for key, ready in (("addresses", True), ("notReadyAddresses", False)):
            for where, value in entry.mappings(subset, key, path):
                address = entry.outward(value.get("ip"), (*where, "ip"))
                node = entry.node_name(value, "nodeName", where)
                if address:
                    endpoints[addresses.family_of(address)].append(Endpoint(address, node, ready, ready))
        found += (EndpointSlice(family, ports, tuple(several)) for family, several in endpoints.items())
    return _weighted(entry, found)


def _publishes_not_ready(entry: ObjectReader) -> bool:
    return entry.mapping(entry.value, "spec", ()).get("publishNotReadyAddresses") is True


def publish(slices: Iterable[EndpointSlice], entry: ObjectReader) -> tuple[EndpointSlice, ...]:
    """``slices`` with every endpoint ready where the Service wants that, as the EndpointSlice controller does."""
    if not _publishes_not_ready(entry):
        return tuple(slices)
    return tuple(
        piece._replace(endpoints=tuple(end._replace(ready=True, serving=True) for end in piece.endpoints))
        for piece in slices
    )


# --- which Service they are of


def belongs(entry: ObjectReader, services: Mapping[tuple[str, str], ObjectReader]) -> None:
    """Endpoints belong to a Service; those of another proxy's Service, or of Services it left out, are its own."""
    if SERVICE_PROXY_NAME_LABEL in entry.labels:
        return
    label = entry.kind == "EndpointSlice"
    path = ("metadata", "labels", SERVICE_NAME_LABEL) if label else ("metadata", "name")
    name = entry.labels.get(SERVICE_NAME_LABEL, "") if label else entry.name
    if not name:
        entry.fault(path, "is missing: it names the Service that the slice belongs to")
    elif (entry.namespace, name) not in services:
        entry.fault(path, f"there is no Service {entry.namespace}/{name}")


def selected(entry: ObjectReader, service: Service, hosts: Sequence[EndpointHost]) -> tuple[EndpointSlice, ...]:
    """The inventory hosts that the Service's selector selects, as slices: one for each family and set of ports."""
    spec = entry.mapping(entry.value, "spec", ())
    wanted = entry.strings(spec, "selector", ("spec",))
    if not wanted:
        return ()
    near = entry.text(spec, "trafficDistribution", ("spec",))
    found: dict[tuple[str, tuple[SlicePort, ...]], list[Endpoint]] = defaultdict(list)
    for host in hosts:
        if not wanted.items() <= dict(host.labels).items():
            continue
        ports = tuple(_host_target_ports(entry, service, host))
        ready = host.ready or _publishes_not_ready(entry)
        for address in host.addresses:
            endpoint = Endpoint(
                address,
                host.node,
                ready,
                ready,
                zone_hints=(host.zone,) if near.startswith("Prefer") and host.zone else (),
                node_hints=(host.node,) if near == "PreferSameNode" and host.node else (),
                weight=host.weight,
            )
            found[(addresses.family_of(address), ports)].append(endpoint)
    return tuple(EndpointSlice(family, ports, tuple(several)) for (family, ports), several in found.items())


def _host_target_ports(entry: ObjectReader, service: Service, host: EndpointHost) -> Iterator[SlicePort]:
    for index, port in enumerate(service.ports):
        number = port.target if isinstance(port.target, int) else host.ports.get(port.target)
        if number:
            yield SlicePort(port.name, port.protocol, number)
        else:
            message = f"host {host.name} has no port {port.target!r} in its sluice_ports"
            entry.fault(("spec", "ports", index, "targetPort"), message, warning=True)


def ports_have_slices(entry: ObjectReader, service: Service) -> None:
    """A port whose name stands in none of the slices never gets an endpoint: nobody wants that.

    Slices without endpoints do not count: a cluster's have no ports either.
    """
    offered = {(port.name, port.protocol) for piece in service.slices if piece.endpoints for port in piece.ports}
    called = {name for name, _protocol in offered}
    if not any(piece.endpoints for piece in service.slices):
        return
    for index, port in enumerate(service.ports):
        path = ("spec", "ports", index, "name" if port.name else "port")
        if port.name not in called:
            entry.fault(path, f"no EndpointSlice has a port named {port.name!r}")
        elif (port.name, port.protocol) not in offered:
            message = f"no EndpointSlice has a {port.protocol} port named {port.name!r}: nothing will answer"
            entry.fault(path, message, warning=True)
