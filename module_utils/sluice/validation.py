"""Manifests and inventory hosts to a catalogue: every fault is found in one run, and named with its place.

What Kubernetes' API server would refuse is refused here, as far as it matters to the rules; fields that do not matter
are not looked at. Nothing that passes can be more than a name, a number or an address, so no text of an input ever
becomes a rule.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from . import addresses, ipvs_options, names
from .catalogue import (
    AFFINITY_SECONDS,
    Catalogue,
    Endpoint,
    EndpointSlice,
    HostPort,
    Ingress,
    Node,
    Service,
    ServicePort,
    SlicePort,
)
from .faults import Fault, InputError
from .manifests import Manifest
from .syntax import Path

PROTOCOLS = ("TCP", "UDP", "SCTP")
SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
POLICIES = ("Cluster", "Local")
ANNOTATION_PREFIX = "sluice.io/"
ANNOTATIONS = {
    "Service": ("scheduler", "scheduler-flags", "weight"),
    "EndpointSlice": ("weight",),
    "Endpoints": ("weight",),
}
"""The annotations that are read, by kind of object, without their prefix."""

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
SERVICE_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
HOSTNAME_LABEL = "kubernetes.io/hostname"
MAX_COMMENT = 255
"""Bytes that an iptables comment may have (XT_MAX_COMMENT_LEN less its end)."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_POD_ID = re.compile(r"[-A-Za-z0-9._:/]{1,317}")
_KINDS = {
    ("v1", "Service"): "Service",
    ("v1", "Endpoints"): "Endpoints",
    ("v1", "Pod"): "Pod",
    ("v1", "Node"): "Node",
    ("discovery.k8s.io/v1", "EndpointSlice"): "EndpointSlice",
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): "EndpointSlice",
}

_T = TypeVar("_T")


class Checks(NamedTuple):
    """What the nodes' settings say about the catalogue as a whole."""

    nodeport_range: tuple[int, int] = (30000, 32767)
    service_cidrs: tuple[str, ...] = ()
    node_addresses: tuple[str, ...] = ()
    schedulers: tuple[str, ...] = ()
    """What balances a Service that does not say, on the nodes with IPVS."""


NO_CHECKS = Checks()
"""Kubernetes' defaults, where no node is known."""


class EndpointHost(NamedTuple):
    """An inventory host that Services may select: ``addresses`` one a family, ``ports`` its named target ports."""

    name: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    ports: Mapping[str, int]
    node: str
    zone: str
    ready: bool
    weight: int | None


class _Object:
    """One manifest and its faults. Reads a field and says what is wrong with it, never raises."""

    def __init__(self, manifest: Manifest, kind: str, faults: list[Fault]) -> None:
        self.manifest = manifest
        self.kind = kind
        self.value: dict[str, Any] = manifest.value
        self._faults = faults
        self.subject = kind
        self.faulty = False
        self.metadata = self.mapping(self.value, "metadata", ())
        pattern, form = (_LABEL, "a DNS label") if kind == "Service" else (_SUBDOMAIN, "a DNS subdomain")
        self.name = self.text(self.metadata, "name", ("metadata",))
        self.namespace = "" if kind == "Node" else self.text(self.metadata, "namespace", ("metadata",), "default")
        shown = "/".join(filter(None, (self.namespace, self.name)))
        self.subject = f"{kind} {shown}".rstrip()
        if self.metadata.get("name") in (None, ""):
            self.fault(("metadata", "name"), "is missing")
        elif self.name and not pattern.fullmatch(self.name):
            self.fault(("metadata", "name"), f"{_short(self.name)} is not {form}")
        if self.namespace and not _LABEL.fullmatch(self.namespace):
            self.fault(("metadata", "namespace"), f"{_short(self.namespace)} is not a DNS label")
        self.labels = self.strings(self.metadata, "labels", ("metadata",))

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    def fault(self, path: Path, message: str, *, warning: bool = False) -> None:
        line = self.manifest.line(path)
        self._faults.append(Fault(self.manifest.document.file, line, self.subject, _shown(path), message, warning))
        self.faulty = self.faulty or not warning

    # Each reader takes the mapping that holds the field, the field's key and the path of the mapping. A missing field
    # and null are the default; a wrong one is a fault and the default.

    def text(self, holder: dict[str, Any], key: str, path: Path, default: str = "") -> str:
        return self._read(holder, key, path, str, default, "a string")

    def flag(self, holder: dict[str, Any], key: str, path: Path, default: bool) -> bool:
        return self._read(holder, key, path, bool, default, "true or false")

    def mapping(self, holder: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
        return self._read(holder, key, path, dict, {}, "a mapping")

    def items(self, holder: dict[str, Any], key: str, path: Path) -> list[Any]:
        return self._read(holder, key, path, list, [], "a list")

    def mappings(self, holder: dict[str, Any], key: str, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The entries of a list of mappings, each with its path."""
        for index, entry in enumerate(self.items(holder, key, path)):
            if isinstance(entry, dict):
                yield (*path, key, index), entry
            else:
                self.fault((*path, key, index), f"must be a mapping, is {_short(entry)}")

    def number(self, holder: dict[str, Any], key: str, path: Path, low: int, high: int, default: int) -> int:
        value = self._read(holder, key, path, int, default, "a whole number")
        if value is holder.get(key) and not low <= value <= high:
            self.fault((*path, key), f"{_short(value)} is not in {low}-{high}")
            return default
        return value

    def port(self, holder: dict[str, Any], key: str, path: Path) -> int:
        """A port number; 0 (after a fault) where there is none."""
        if holder.get(key) is None:
            self.fault((*path, key), "is missing")
        return self.number(holder, key, path, 1, 65535, 0)

    def choice(self, holder: dict[str, Any], key: str, path: Path, choices: Sequence[str], default: str) -> str:
        value = self.text(holder, key, path, default)
        if value not in choices:
            self.fault((*path, key), f"{_short(value)} is not one of {', '.join(choices)}")
            return default
        return value

    def address(self, value: Any, path: Path, family: str = "") -> str:
        """``value`` as a canonical address (of ``family``, if one is given); ``""`` after a fault."""
        text = addresses.address(value)
        if not text or text in ("0.0.0.0", "::"):
            self.fault(path, f"{_short(value)} is not an IP address")
            return ""
        if family and addresses.family_of(text) != family:
            self.fault(path, f"{value!r} is not an {family} address")
            return ""
        return text

    def outward(self, value: Any, path: Path, family: str = "") -> str:
        """``address``, and no host's own: the API server refuses these for endpoints and external addresses, too."""
        text = self.address(value, path, family)
        if text and addresses.is_special(text):
            self.fault(path, f"{text} is a loopback or link-local address")
            return ""
        return text

    def node_name(self, holder: dict[str, Any], key: str, path: Path) -> str:
        value = self.text(holder, key, path)
        if value and not _SUBDOMAIN.fullmatch(value):
            self.fault((*path, key), f"{_short(value)} is not a node's name")
            return ""
        return value

    def strings(self, holder: dict[str, Any], key: str, path: Path) -> dict[str, str]:
        """A mapping of text to text, such as labels."""
        found: dict[str, str] = {}
        for name, value in self.mapping(holder, key, path).items():
            if isinstance(name, str) and isinstance(value, str):
                found[name] = value
            else:
                wrong = name if not isinstance(name, str) else value
                self.fault((*path, key, str(name)), f"must be text, is {_short(wrong)}: put it in quotes")
        return found

    def _read(self, holder: dict[str, Any], key: str, path: Path, kind: type[_T], default: _T, form: str) -> _T:
        value = holder.get(key)
        if value is None:
            return default
        # Python has true and false as numbers; where a number is asked for they are none.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fault((*path, key), f"must be {form}, is {_short(value)}")
            return default
        return value


def build(
    manifests: Iterable[Manifest], hosts: Sequence[EndpointHost] = (), checks: Checks = NO_CHECKS
) -> tuple[Catalogue, list[Fault]]:
    """The catalogue of ``manifests`` and of the inventory ``hosts``, with every fault and warning.

    The catalogue is usable only where no fault is more than a warning.
    """
    faults: list[Fault] = []
    objects = list(_known_objects(manifests, faults))
    _duplicates(objects, faults)
    by_kind: dict[str, list[_Object]] = defaultdict(list)
    for entry in objects:
        by_kind[entry.kind].append(entry)

    slices = _slices(by_kind["EndpointSlice"])
    legacy = {entry.key: _from_endpoints(entry) for entry in by_kind["Endpoints"]}
    declared = {entry.key: entry for entry in by_kind["Service"]}
    # What is wrong with an object is said once: what follows from it is not.
    unsound = {
        (entry.namespace, entry.labels.get(SERVICE_NAME_LABEL, ""))
        for entry in by_kind["EndpointSlice"]
        if entry.faulty
    }
    unsound |= {entry.key for entry in by_kind["Endpoints"] if entry.faulty}
    for entry in [*by_kind["EndpointSlice"], *by_kind["Endpoints"]]:
        _belongs(entry, declared)

    services: list[tuple[_Object, Service]] = []
    for entry in by_kind["Service"]:
        service = _service(entry, checks)
        if service is None:
            continue
        if entry.key in slices:
            service = service._replace(slices=tuple(slices[entry.key]))
            if not entry.faulty and entry.key not in unsound:
                _ports_have_slices(entry, service)
        elif entry.key in legacy:
            service = service._replace(slices=_publish(legacy[entry.key], entry))
            if not entry.faulty and entry.key not in unsound:
                _ports_have_slices(entry, service)
        else:
            service = service._replace(slices=_selected(entry, service, hosts))
        services.append((entry, service))
    _conflicts(services, checks)

    host_ports = [(entry, port) for entry in by_kind["Pod"] for port in _host_ports(entry)]
    _host_port_conflicts(host_ports)
    catalogue = Catalogue(
        services=tuple(service for _entry, service in sorted(services, key=lambda pair: pair[0].key)),
        host_ports=tuple(port for _entry, port in host_ports),
        nodes=tuple(map(_node, by_kind["Node"])),
    )
    return catalogue, faults


def checked(catalogue: Catalogue, faults: Sequence[Fault]) -> Catalogue:
    """``catalogue``; raises InputError where a fault is more than a warning."""
    if any(not fault.warning for fault in faults):
        raise InputError(faults)
    return catalogue


# --- objects


def _known_objects(manifests: Iterable[Manifest], faults: list[Fault]) -> Iterator[_Object]:
    unknown: set[str] = set()
    for manifest in manifests:
        value = manifest.value
        if not isinstance(value, dict):
            _plain_fault(faults, manifest, "", f"must be an object with apiVersion and kind, is {_short(value)}")
            continue
        version, kind = value.get("apiVersion"), value.get("kind")
        if not isinstance(version, str) or not isinstance(kind, str):
            missing = "apiVersion" if not isinstance(version, str) else "kind"
            _plain_fault(faults, manifest, missing, "must be a string" if value.get(missing) else "is missing")
            continue
        known = _KINDS.get((version, kind))
        if known:
            yield _Object(manifest, known, faults)
        elif f"{version} {kind}" not in unknown:
            unknown.add(f"{version} {kind}")
            message = f"{version} {kind} is not a kind that Sluice knows: its objects are left out"
            _plain_fault(faults, manifest, "kind", message, warning=True)


def _plain_fault(faults: list[Fault], manifest: Manifest, field: str, message: str, *, warning: bool = False) -> None:
    line = manifest.line((field,) if field else ())
    faults.append(Fault(manifest.document.file, line, "", field, message, warning))


def _duplicates(objects: Iterable[_Object], faults: list[Fault]) -> None:
    first: dict[tuple[str, str, str], _Object] = {}
    for entry in objects:
        other = first.setdefault((entry.kind, *entry.key), entry)
        if other is not entry and entry.name:
            entry.fault(("metadata", "name"), f"is declared a second time, first at {_place(other)}")


def _belongs(entry: _Object, services: Mapping[tuple[str, str], _Object]) -> None:
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


# --- Services


def _service(entry: _Object, checks: Checks) -> Service | None:
    """The Service, or None where it programs no rules: headless, ExternalName, or another proxy's."""
    spec, path = entry.mapping(entry.value, "spec", ()), ("spec",)
    kind = entry.choice(spec, "type", path, SERVICE_TYPES, "ClusterIP")
    cluster_ips = _cluster_ips(entry, spec)
    ports = _service_ports(entry, spec, checks)
    external = entry.choice(spec, "externalTrafficPolicy", path, POLICIES, "Cluster")
    internal = entry.choice(spec, "internalTrafficPolicy", path, POLICIES, "Cluster")
    service = Service(
        namespace=entry.namespace,
        name=entry.name,
        type=kind,
        cluster_ips=cluster_ips,
        ports=ports,
        external_ips=_distinct(
            entry.outward(value, (*path, "externalIPs", index))
            for index, value in enumerate(entry.items(spec, "externalIPs", path))
        ),
        ingress=_ingress(entry, spec, kind),
        source_ranges=_source_ranges(entry, spec),
        affinity_seconds=_affinity(entry, spec),
        external_local=external == "Local",
        internal_local=internal == "Local",
        health_check_node_port=_health_check(entry, spec, kind, external, checks),
        annotations=tuple(_annotations(entry).items()),
    )
    for name, message in ipvs_options.faults(service.annotations, checks.schedulers):
        entry.fault(_annotation(name), message)
    if SERVICE_PROXY_NAME_LABEL in entry.labels or kind == "ExternalName" or "None" in _raw_cluster_ips(spec):
        return None
    if not ports:
        entry.fault(("spec", "ports"), "a Service needs a port")
    if not cluster_ips and not entry.faulty:
        entry.fault(path, "has no clusterIP: it programs no rules", warning=True)
    return service


def _raw_cluster_ips(spec: dict[str, Any]) -> list[Any]:
    several = spec.get("clusterIPs")
    return [spec.get("clusterIP"), *(several if isinstance(several, list) else [])]


def _cluster_ips(entry: _Object, spec: dict[str, Any]) -> tuple[str, ...]:
    """clusterIPs, or clusterIP where only that is given."""
    if "None" in _raw_cluster_ips(spec):
        return ()
    several = _distinct(
        entry.address(value, ("spec", "clusterIPs", index))
        for index, value in enumerate(entry.items(spec, "clusterIPs", ("spec",)))
    )
    single = entry.text(spec, "clusterIP", ("spec",))
    if single:
        address = entry.address(single, ("spec", "clusterIP"))
        if several and address and address != several[0]:
            entry.fault(("spec", "clusterIPs"), f"must begin with clusterIP {address}, begins with {several[0]}")
        elif address:
            several = several or (address,)
    families = [addresses.family_of(text) for text in several]
    for family in addresses.FAMILIES:
        if families.count(family) > 1:
            entry.fault(("spec", "clusterIPs"), f"has more than one {family} address")
    for index, family in enumerate(entry.items(spec, "ipFamilies", ("spec",))):
        if family not in addresses.FAMILIES:
            message = f"{_short(family)} is not one of {', '.join(addresses.FAMILIES)}"
            entry.fault(("spec", "ipFamilies", index), message)
        elif index < len(several) and families[index] != family:
            entry.fault(("spec", "ipFamilies", index), f"is {family}, but the cluster IP is {several[index]}")
    return several


def _service_ports(entry: _Object, spec: dict[str, Any], checks: Checks) -> tuple[ServicePort, ...]:
    ports: list[ServicePort] = []
    by_name: set[tuple[str, str]] = set()
    by_number: set[tuple[int, str]] = set()
    for path, value in entry.mappings(spec, "ports", ("spec",)):
        name = _port_name(entry, value, path)
        protocol = entry.choice(value, "protocol", path, PROTOCOLS, "TCP")
        number = entry.port(value, "port", path)
        node_port = _node_port(entry, value, "nodePort", path, checks)
        if (name, protocol) in by_name:
            entry.fault((*path, "name"), f"two {protocol} ports have the name {name!r}")
        elif number and (number, protocol) in by_number:
            entry.fault((*path, "port"), f"{number}/{protocol} is there twice")
        by_name.add((name, protocol))
        by_number.add((number, protocol))
        ports.append(ServicePort(name, protocol, number, _target_port(entry, value, path, number), node_port))
    return tuple(ports)


def _port_name(entry: _Object, value: dict[str, Any], path: Path) -> str:
    name = entry.text(value, "name", path)
    if name and not _LABEL.fullmatch(name):
        entry.fault((*path, "name"), f"{_short(name)} is not a DNS label")
        return ""
    return name


def _target_port(entry: _Object, value: dict[str, Any], path: Path, default: int) -> int | str:
    target = value.get("targetPort")
    if isinstance(target, str):
        if not _LABEL.fullmatch(target):
            entry.fault((*path, "targetPort"), f"{_short(target)} is neither a port number nor the name of a port")
            return default
        return target
    return entry.number(value, "targetPort", path, 1, 65535, default)


def _node_port(entry: _Object, holder: dict[str, Any], key: str, path: Path, checks: Checks) -> int:
    """A port of the node's own, 0 for none (which manifests may say, too)."""
    if holder.get(key) in (None, 0):
        return 0
    number = entry.number(holder, key, path, 1, 65535, 0)
    low, high = checks.nodeport_range
    if number and not low <= number <= high:
        entry.fault((*path, key), f"{number} is not in the range of node ports {low}-{high}")
    return number


def _ingress(entry: _Object, spec: dict[str, Any], kind: str) -> tuple[Ingress, ...]:
    """The load balancer's addresses: what its status says, else the one that the spec asks for.

    In a cluster a controller answers spec.loadBalancerIP with a status; here nobody else is there to do it.
    """
    status = entry.mapping(entry.mapping(entry.value, "status", ()), "loadBalancer", ("status",))
    found: list[Ingress] = []
    for path, value in entry.mappings(status, "ingress", ("status", "loadBalancer")):
        mode = entry.choice(value, "ipMode", path, ("VIP", "Proxy"), "VIP")
        if value.get("ip") is not None:
            address = entry.address(value["ip"], (*path, "ip"))
            if address:
                found.append(Ingress(address, mode))
        elif not value.get("hostname"):
            entry.fault(path, "has neither ip nor hostname")
    wanted = entry.text(spec, "loadBalancerIP", ("spec",))
    if wanted and kind == "LoadBalancer":
        address = entry.address(wanted, ("spec", "loadBalancerIP"))
        if address and not found:
            found.append(Ingress(address))
    return tuple(dict.fromkeys(found))


def _source_ranges(entry: _Object, spec: dict[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for index, value in enumerate(entry.items(spec, "loadBalancerSourceRanges", ("spec",))):
        network = addresses.network(value)
        if network:
            found.append(network)
        else:
            entry.fault(("spec", "loadBalancerSourceRanges", index), f"{_short(value)} is not a CIDR")
    return tuple(found)


def _affinity(entry: _Object, spec: dict[str, Any]) -> int:
    wanted = entry.choice(spec, "sessionAffinity", ("spec",), ("None", "ClientIP"), "None")
    config = entry.mapping(spec, "sessionAffinityConfig", ("spec",))
    path = ("spec", "sessionAffinityConfig", "clientIP")
    client = entry.mapping(config, "clientIP", path[:2])
    seconds = entry.number(client, "timeoutSeconds", path, 1, 86400, AFFINITY_SECONDS)
    return seconds if wanted == "ClientIP" else 0


def _health_check(entry: _Object, spec: dict[str, Any], kind: str, policy: str, checks: Checks) -> int:
    """healthCheckNodePort, which counts for a LoadBalancer with policy Local only (as for kube-proxy)."""
    number = _node_port(entry, spec, "healthCheckNodePort", ("spec",), checks)
    return number if kind == "LoadBalancer" and policy == "Local" else 0


def _annotations(entry: _Object) -> dict[str, str]:
    """The annotations that are read, without their prefix. Others that have the prefix get a warning."""
    known = ANNOTATIONS[entry.kind]
    found: dict[str, str] = {}
    for key, value in entry.strings(entry.metadata, "annotations", ("metadata",)).items():
        name = key[len(ANNOTATION_PREFIX) :]
        if not key.startswith(ANNOTATION_PREFIX):
            continue
        if name in known:
            found[name] = value
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {ANNOTATION_PREFIX}{near[0]}?" if near else ""
        article = "a" if entry.kind == "Service" else "an"
        entry.fault(_annotation(name), f"no such annotation of {article} {entry.kind}{hint}", warning=True)
    return found


def _annotation(name: str) -> Path:
    return "metadata", "annotations", ANNOTATION_PREFIX + name


# --- endpoints


def _slices(entries: Iterable[_Object]) -> dict[tuple[str, str], list[EndpointSlice]]:
    found: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for entry in entries:
        labels = entry.labels
        piece = _slice(entry)
        if piece and SERVICE_PROXY_NAME_LABEL not in labels:
            found[(entry.namespace, labels.get(SERVICE_NAME_LABEL, ""))].append(piece)
    return found


def _slice(entry: _Object) -> EndpointSlice | None:
    kind = entry.choice(entry.value, "addressType", (), (*addresses.FAMILIES, "FQDN"), addresses.IPV4)
    ports = tuple(_slice_ports(entry, entry.value, ()))
    if kind == "FQDN":
        return None
    (piece,) = _weighted(entry, [EndpointSlice(kind, ports, tuple(_endpoints(entry, kind)))])
    return piece


def _slice_ports(entry: _Object, holder: dict[str, Any], path: Path) -> Iterator[SlicePort]:
    for where, value in entry.mappings(holder, "ports", path):
        name = _port_name(entry, value, where)
        protocol = entry.choice(value, "protocol", where, PROTOCOLS, "TCP")
        # A port without a number stands for all ports, which no Service's port can use.
        number = entry.number(value, "port", where, 1, 65535, 0)
        if number:
            yield SlicePort(name, protocol, number)


def _endpoints(entry: _Object, family: str) -> Iterator[Endpoint]:
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


def _weighted(entry: _Object, slices: Sequence[EndpointSlice]) -> list[EndpointSlice]:
    """``slices`` with the weights that an annotation of their object gives their endpoints."""
    said = _annotations(entry).get("weight", "")
    try:
        plain, by_address = ipvs_options.weights(said)
    except ValueError as error:
        entry.fault(_annotation("weight"), str(error))
        return list(slices)
    known = {endpoint.address for piece in slices for endpoint in piece.endpoints}
    for address in by_address:
        if address not in known:
            entry.fault(_annotation("weight"), f"{address} is none of its endpoints", warning=True)
    if not said:
        return list(slices)
    return [
        piece._replace(
            endpoints=tuple(end._replace(weight=by_address.get(end.address, plain)) for end in piece.endpoints)
        )
        for piece in slices
    ]


def _hints(entry: _Object, hints: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    if not hints:
        return ()
    return tuple(entry.text(value, "name", where) for where, value in entry.mappings(hints, key, path))


def _from_endpoints(entry: _Object) -> list[EndpointSlice]:
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


def _publishes_not_ready(entry: _Object) -> bool:
    return entry.mapping(entry.value, "spec", ()).get("publishNotReadyAddresses") is True


def _publish(slices: Iterable[EndpointSlice], entry: _Object) -> tuple[EndpointSlice, ...]:
    """``slices`` with every endpoint ready where the Service wants that, as the EndpointSlice controller does."""
    if not _publishes_not_ready(entry):
        return tuple(slices)
    return tuple(
        piece._replace(endpoints=tuple(end._replace(ready=True, serving=True) for end in piece.endpoints))
        for piece in slices
    )


def _selected(entry: _Object, service: Service, hosts: Sequence[EndpointHost]) -> tuple[EndpointSlice, ...]:
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


def _host_target_ports(entry: _Object, service: Service, host: EndpointHost) -> Iterator[SlicePort]:
    for index, port in enumerate(service.ports):
        number = port.target if isinstance(port.target, int) else host.ports.get(port.target)
        if number:
            yield SlicePort(port.name, port.protocol, number)
        else:
            message = f"host {host.name} has no port {port.target!r} in its sluice_ports"
            entry.fault(("spec", "ports", index, "targetPort"), message, warning=True)


def _ports_have_slices(entry: _Object, service: Service) -> None:
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


# --- Pods and Nodes


def _host_ports(entry: _Object) -> Iterator[HostPort]:
    spec, status = entry.mapping(entry.value, "spec", ()), entry.mapping(entry.value, "status", ())
    if spec.get("hostNetwork") is True or status.get("phase") in ("Succeeded", "Failed"):
        return
    found = [
        (path, value)
        for where, container in entry.mappings(spec, "containers", ("spec",))
        for path, value in entry.mappings(container, "ports", where)
        if value.get("hostPort") not in (None, 0)
    ]
    node, texts = entry.node_name(spec, "nodeName", ("spec",)), _pod_addresses(entry, status)
    if not found or (status.get("phase") == "Pending" and not texts):
        return
    if not node:
        entry.fault(("spec", "nodeName"), "is missing: a host port is one node's")
    if not texts:
        entry.fault(("status", "podIP"), "is missing: a host port leads to the Pod's address")
    uid = entry.text(entry.metadata, "uid", ("metadata",)) or f"{entry.namespace}/{entry.name}"
    if not _POD_ID.fullmatch(uid):
        entry.fault(("metadata", "uid"), f"{_short(uid)} is not a uid")
    # Both halves of the name go into a rule's comment beside the port, and the kernel keeps 255 bytes of it.
    longest = len(f"{entry.name}_{entry.namespace} hostport 65535")
    if longest > MAX_COMMENT:
        entry.fault(("metadata", "name"), f"makes a comment of {longest} bytes, iptables takes {MAX_COMMENT}")
    for path, value in found:
        number = entry.port(value, "hostPort", path)
        protocol = entry.choice(value, "protocol", path, PROTOCOLS, "TCP")
        port = entry.port(value, "containerPort", path)
        host_ip = value.get("hostIP")
        host_ip = "" if host_ip in (None, "", "0.0.0.0", "::") else entry.address(host_ip, (*path, "hostIP"))
        if number and port and not entry.faulty:
            yield HostPort(entry.namespace, entry.name, uid, node, protocol, host_ip, number, texts, port)


def _pod_addresses(entry: _Object, status: dict[str, Any]) -> tuple[str, ...]:
    """podIP and podIPs, which repeats it."""
    found: list[tuple[Path, Any]] = [(("status", "podIP"), status.get("podIP"))]
    found += (((*path, "ip"), value.get("ip")) for path, value in entry.mappings(status, "podIPs", ("status",)))
    return _distinct(entry.outward(value, path) for path, value in found if value not in (None, ""))


def _host_port_conflicts(host_ports: Iterable[tuple[_Object, HostPort]]) -> None:
    first: dict[tuple[str, str, str, int], _Object] = {}
    chains: dict[tuple[str, str], _Object] = {}
    for entry, port in host_ports:
        other = first.setdefault((port.node, port.host_ip, port.protocol, port.host_port), entry)
        what = f"host port {port.host_port}/{port.protocol} on node {port.node}"
        if other is not entry:
            entry.fault(("spec", "containers"), f"{what} is {other.subject}'s as well ({_place(other)})")
            continue
        # A chain leads to one container. Its name knows no hostIP, and without a uid the Pod shop/a with port 1234 has
        # the same as shop/a1 with port 234.
        key = port.node, names.host_port_chain_name(port.pod_id, port.host_port, port.protocol)
        if key in chains:
            message = f"{what} has the same chain as one of {chains[key].subject} ({_place(chains[key])})"
            entry.fault(("spec", "containers"), f"{message}: one hostIP a port, and a uid a Pod")
        chains[key] = entry


def _node(entry: _Object) -> Node:
    status = entry.mapping(entry.value, "status", ())
    found = [
        entry.address(value.get("address"), (*path, "address"))
        for path, value in entry.mappings(status, "addresses", ("status",))
        if value.get("type") == "InternalIP"
    ]
    return Node(entry.name, tuple(entry.labels.items()), tuple(text for text in found if text))


# --- what one Service may take from another


def _conflicts(services: Iterable[tuple[_Object, Service]], checks: Checks) -> None:
    """Two Services with one address:port:protocol or one node port; addresses that are a node's own."""
    taken: dict[tuple[str, int, str], _Object] = {}
    node_ports: dict[tuple[int, str], _Object] = {}
    own = set(checks.node_addresses)
    for entry, service in services:
        for path, address in _service_addresses(service):
            for port in service.ports:
                other = taken.setdefault((address, port.port, port.protocol), entry)
                if other is not entry:
                    message = f"{addresses.host_port(address, port.port)}/{port.protocol} is {other.subject}'s as well"
                    entry.fault(path, f"{message} ({_place(other)})")
            if address in own:
                entry.fault(path, f"{address} is a node's own address", warning=True)
        for address in service.cluster_ips:
            if checks.service_cidrs and not any(addresses.contains(net, address) for net in checks.service_cidrs):
                message = f"{address} is not in sluice_service_cidrs ({', '.join(checks.service_cidrs)})"
                entry.fault(("spec", "clusterIP"), message, warning=True)
        wanted: list[tuple[Path, int, str]] = [
            (("spec", "ports", index, "nodePort"), port.node_port, port.protocol)
            for index, port in enumerate(service.ports)
        ]
        wanted.append((("spec", "healthCheckNodePort"), service.health_check_node_port, "TCP"))
        here: set[tuple[int, str]] = set()
        for path, number, protocol in wanted:
            if not number:
                continue
            other = node_ports.setdefault((number, protocol), entry)
            if other is not entry:
                message = f"node port {number}/{protocol} is {other.subject}'s as well ({_place(other)})"
                entry.fault(path, message)
            elif (number, protocol) in here:
                entry.fault(path, f"node port {number}/{protocol} is there twice")
            here.add((number, protocol))


def _service_addresses(service: Service) -> Iterator[tuple[Path, str]]:
    for address in service.cluster_ips:
        yield ("spec", "clusterIP"), address
    for index, address in enumerate(service.external_ips):
        yield ("spec", "externalIPs", index), address
    for index, entry in enumerate(service.ingress):
        yield ("status", "loadBalancer", "ingress", index, "ip"), entry.address


# --- words


def _place(entry: _Object) -> str:
    document = entry.manifest.document
    return f"{document.file}:{entry.manifest.line(('metadata', 'name'))}" if document.line else document.file


def _shown(path: Path) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _short(value: Any) -> str:
    """``value`` in a message: what it is, cut where it is long."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a mapping"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
