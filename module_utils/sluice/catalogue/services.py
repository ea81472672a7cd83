"""A Service, from its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .. import addresses, balancing
from ..forms import SUBDOMAIN
from .checks import Checks
from .health_checks import NO_PODS, Pods, read_health_check
from .model import AFFINITY_SECONDS, Ingress, Service, ServicePort
from .reader import (
    ANNOTATION_PREFIX,
    HEADLESS_LABEL,
    HEALTH_CHECK,
    PROTOCOLS,
    ObjectReader,
    annotation,
    distinct,
    known_annotations,
    passed_over,
    port_name,
    short,
)
from .syntax import Path

BALANCER_IPS = ("sluice.io/load-balancer-ips", "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs")
"""Annotations with the addresses that a LoadBalancer Service asks for; the first that is there counts."""

SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
POLICIES = ("Cluster", "Local")
FAMILY_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")
NEARNESS = ("PreferClose", "PreferSameZone", "PreferSameNode")
RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"

_EXTERNAL_NAME = re.compile(rf"{SUBDOMAIN.pattern}\.?")
_TARGET_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
"""The name of a container's port (IANA_SVC_NAME, RFC 6335 section 5.1, in lower case)."""
_CLASS_NAME = re.compile(r"(?=.{1,63}\Z)[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def read_service(entry: ObjectReader, checks: Checks, pods: Pods = NO_PODS) -> Service:
    """The Service, with what its manifest declares, and one of ``pods`` for it."""
    spec, path = entry.mapping(entry.value, "spec", ()), ("spec",)
    kind = entry.choice(spec, "type", path, SERVICE_TYPES, "ClusterIP")
    balancer_class = _balancer_class(entry, spec)
    external = entry.choice(spec, "externalTrafficPolicy", path, POLICIES, "Cluster")
    internal = entry.choice(spec, "internalTrafficPolicy", path, POLICIES, "Cluster")
    entry.choice(spec, "trafficDistribution", path, ("", *NEARNESS), "")
    found = Service(
        namespace=entry.namespace,
        name=entry.name,
        type=kind,
        cluster_ips=_cluster_ips(entry, spec),
        ports=_service_ports(entry, spec, checks),
        external_ips=distinct(
            entry.outward(value, (*path, "externalIPs", index))
            for index, value in enumerate(entry.items(spec, "externalIPs", path))
        ),
        ingress=_ingress(entry, spec, kind, balancer_class),
        source_ranges=_source_ranges(entry, spec),
        affinity_seconds=_affinity(entry, spec),
        external_local=external == "Local",
        internal_local=internal == "Local",
        health_check_node_port=_node_port(entry, spec, "healthCheckNodePort", path, checks),
        annotations=tuple(_annotations(entry, pods).items()),
        labels=tuple(entry.labels.items()),
        selector=tuple(entry.strings(spec, "selector", path).items()),
        external_name=entry.text(spec, "externalName", path) if kind == "ExternalName" else "",
        load_balancer_class=balancer_class,
        publishes_not_ready=entry.flag(spec, "publishNotReadyAddresses", path, False),
        ip_family_policy=entry.choice(spec, "ipFamilyPolicy", path, ("", *FAMILY_POLICIES), ""),
        created=entry.created,
    )
    for name, message in balancing.faults(found.annotations, checks.schedulers):
        entry.fault(annotation(name), message)
    # What follows from a type or a policy that there is not is no fault of its own.
    if spec.get("type") in (None, "", *SERVICE_TYPES) and spec.get("externalTrafficPolicy") in (None, "", *POLICIES):
        _check_type(entry, spec, found)
    if kind == "LoadBalancer":
        _check_source_ranges(entry, found)
    if HEADLESS_LABEL in entry.labels and found.cluster_ips:
        message = "left out, as by kube-proxy, which takes a Service with this label for headless"
        entry.fault(("metadata", "labels", HEADLESS_LABEL), message, warning=True)
    if spec.get("ports") in (None, []) and not is_idle(entry, found):
        entry.fault(("spec", "ports"), "a Service needs a port")
    return found


def _annotations(entry: ObjectReader, pods: Pods) -> dict[str, str]:
    """Those that are read; what is said of a health check is JSON from here on."""
    found = known_annotations(entry)
    text = found.pop(HEALTH_CHECK, "")
    check = read_health_check(entry, text, pods) if text else ""
    return {**found, HEALTH_CHECK: check} if check else found


def is_headless(entry: ObjectReader) -> bool:
    return "None" in _raw_cluster_ips(entry.mapping(entry.value, "spec", ()))


def is_idle(entry: ObjectReader, service: Service) -> bool:
    """Whether the Service programs no rules: it is headless, an ExternalName, or one that kube-proxy passes over."""
    return service.type == "ExternalName" or is_headless(entry) or passed_over(entry)


def _check_type(entry: ObjectReader, spec: dict[str, Any], service: Service) -> None:
    """Fields that a Service of this type has not. The API server refuses them: somebody meant another type."""
    path, kind = ("spec",), service.type
    if kind == "ExternalName":
        if not _EXTERNAL_NAME.fullmatch(service.external_name):
            wrong = f"{short(service.external_name)} is not a DNS name" if service.external_name else "is missing"
            entry.fault((*path, "externalName"), wrong)
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(key) not in (None, "", [], [""]):
                entry.fault((*path, key), "an ExternalName Service has no cluster IP")
    elif is_headless(entry) and kind in ("NodePort", "LoadBalancer"):
        entry.fault((*path, "clusterIP"), f"may not be None with type {kind}, which needs one")
    elif is_headless(entry):
        for key, there in (("externalIPs", service.external_ips), ("sessionAffinity", service.affinity_seconds)):
            if there:
                message = "is left out: a headless Service programs no rules"
                entry.fault((*path, key), message, warning=True)
    if kind == "ClusterIP":
        for index, port in enumerate(service.ports):
            if port.node_port:
                where = (*path, "ports", index, "nodePort")
                entry.fault(where, "may not be used with type ClusterIP: take it away, or is the type NodePort?")
    reached = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and service.external_ips)
    if spec.get("externalTrafficPolicy") and not reached:
        message = "is for Services that are reached from outside: NodePort, LoadBalancer or with externalIPs"
        entry.fault((*path, "externalTrafficPolicy"), message)
    if kind != "LoadBalancer":
        _check_no_balancer(entry, spec, service)
    if service.health_check_node_port and not (kind == "LoadBalancer" and service.external_local):
        message = "may only be used with type LoadBalancer and externalTrafficPolicy Local"
        entry.fault((*path, "healthCheckNodePort"), message)


def _check_no_balancer(entry: ObjectReader, spec: dict[str, Any], service: Service) -> None:
    """What only a load balancer has, of a Service that is none."""
    path = ("spec",)
    message = f"may only be used with type LoadBalancer, not with {service.type}"
    for key in ("loadBalancerSourceRanges", "loadBalancerClass", "allocateLoadBalancerNodePorts"):
        if spec.get(key) not in (None, "", []):
            entry.fault((*path, key), message)
    if entry.annotations.get(RANGES_ANNOTATION):
        entry.fault(("metadata", "annotations", RANGES_ANNOTATION), message)
    if spec.get("loadBalancerIP"):
        message = f"is left out: a Service of type {service.type} has no load balancer"
        entry.fault((*path, "loadBalancerIP"), message, warning=True)
    if service.ingress and not is_idle(entry, service):
        message = f"is programmed, as by kube-proxy, although the type is {service.type}"
        entry.fault(("status", "loadBalancer", "ingress"), message, warning=True)


def _check_source_ranges(entry: ObjectReader, service: Service) -> None:
    """What the ranges do not guard, as for kube-proxy."""
    path = ("spec", "loadBalancerSourceRanges")
    if entry.annotations.get(RANGES_ANNOTATION) and not service.source_ranges:
        message = "is not read, as by kube-proxy: everyone is let in; spec.loadBalancerSourceRanges is"
        entry.fault(("metadata", "annotations", RANGES_ANNOTATION), message, warning=True)
    if not service.source_ranges or not service.external_ips:
        return
    both = set(service.external_ips) & {each.address for each in service.ingress}
    if both:
        message = f"do not guard {', '.join(sorted(both))}, which is in externalIPs as well: everyone is let in there"
    else:
        message = f"guard the load balancer's addresses only: everyone is let in at {', '.join(service.external_ips)}"
    entry.fault(path, message, warning=True)


def _raw_cluster_ips(spec: dict[str, Any]) -> list[Any]:
    several = spec.get("clusterIPs")
    return [spec.get("clusterIP"), *(several if isinstance(several, list) else [])]


def _cluster_ips(entry: ObjectReader, spec: dict[str, Any]) -> tuple[str, ...]:
    """clusterIPs, or clusterIP where only that is given."""
    path = ("spec",)
    several: list[tuple[Any, Path]] = [
        (value, (*path, "clusterIPs", index))
        for index, value in enumerate(entry.items(spec, "clusterIPs", path))
        if value != ""
    ]
    single = entry.text(spec, "clusterIP", path)
    texts = [value for value, _where in several] or [single]
    if "None" in (single, *texts):
        if {single or "None", *(str(text) for text in texts)} != {"None"}:
            entry.fault((*path, "clusterIPs" if several else "clusterIP"), "None stands for no address at all")
        _family_fields(entry, spec, ())
        return ()
    if single and (single == texts[0] or addresses.address(single) == addresses.address(texts[0]) != ""):
        # In what an API server prints, the first of several is the single one: what is wrong with it is one fault.
        several[:1] = [(single, (*path, "clusterIP"))]
    elif single:
        address = entry.outward(single, (*path, "clusterIP"))
        if address and addresses.address(texts[0]):
            entry.fault((*path, "clusterIPs"), f"must begin with clusterIP {address}, begins with {texts[0]}")
    found = distinct(entry.outward(value, where) for value, where in several)
    families = [addresses.family_of(text) for text in found]
    for family in addresses.FAMILIES:
        if families.count(family) > 1:
            entry.fault((*path, "clusterIPs"), f"has more than one {family} address")
    _family_fields(entry, spec, found)
    return found


def _family_fields(entry: ObjectReader, spec: dict[str, Any], cluster_ips: tuple[str, ...]) -> None:
    path = ("spec",)
    wanted = entry.items(spec, "ipFamilies", path)
    for index, family in enumerate(wanted):
        where = (*path, "ipFamilies", index)
        if family not in addresses.FAMILIES:
            entry.fault(where, f"{short(family)} is not one of {', '.join(addresses.FAMILIES)}")
        elif family in wanted[:index]:
            entry.fault(where, f"{family} is there twice")
        elif index < len(cluster_ips) and addresses.family_of(cluster_ips[index]) != family:
            entry.fault(where, f"is {family}, but the cluster IP is {cluster_ips[index]}")
    if spec.get("ipFamilyPolicy") == "SingleStack" and max(len(wanted), len(cluster_ips)) > 1:
        entry.fault((*path, "ipFamilyPolicy"), "SingleStack is for one family, and two are named")


def _service_ports(entry: ObjectReader, spec: dict[str, Any], checks: Checks) -> tuple[ServicePort, ...]:
    ports: list[ServicePort] = []
    named: set[str] = set()
    by_number: set[tuple[int, str]] = set()
    found = list(entry.mappings(spec, "ports", ("spec",)))
    for path, value in found:
        name = port_name(entry, value, path)
        protocol = entry.choice(value, "protocol", path, PROTOCOLS, "TCP")
        number = entry.port(value, "port", path)
        if value.get("protocol") not in (None, "", protocol):
            number = 0
        node_port = _node_port(entry, value, "nodePort", path, checks)
        if len(found) > 1 and value.get("name") in (None, ""):
            entry.fault((*path, "name"), "is missing: of several ports, each has a name")
        elif name and name in named:
            entry.fault((*path, "name"), f"two ports have the name {name!r}")
        named.add(name)
        if number and (number, protocol) in by_number:
            entry.fault((*path, "port"), f"{number}/{protocol} is there twice")
        by_number.add((number, protocol))
        ports.append(ServicePort(name, protocol, number, _target_port(entry, value, path, number), node_port))
    return tuple(ports)


def _target_port(entry: ObjectReader, value: dict[str, Any], path: Path, default: int) -> int | str:
    target, where = value.get("targetPort"), (*path, "targetPort")
    if target == "":
        return default
    if not isinstance(target, str):
        return entry.number(value, "targetPort", path, 0, 65535, default) or default
    if _TARGET_NAME.fullmatch(target):
        return target
    if target.isascii() and target.isdigit():
        entry.fault(where, f"{short(target)} is a name, and a name has a letter: take the quotes away")
    else:
        entry.fault(where, f"{short(target)} is neither a port number nor the name of a port")
    return default


def _node_port(entry: ObjectReader, holder: dict[str, Any], key: str, path: Path, checks: Checks) -> int:
    """A port of the node's own, 0 for none (which manifests may say, too)."""
    number = entry.number(holder, key, path, 0, 65535, 0)
    low, high = checks.nodeport_range
    if number and not low <= number <= high:
        entry.fault((*path, key), f"{number} is not in the range of node ports {low}-{high}")
    return number


def _ingress(entry: ObjectReader, spec: dict[str, Any], kind: str, balancer_class: str) -> tuple[Ingress, ...]:
    """The load balancer's addresses: what its status says, else those that annotation or spec ask for.

    In a cluster a controller answers spec.loadBalancerIP with a status; here nobody else is there to do it, unless
    loadBalancerClass names somebody.
    """
    found: list[Ingress] = []
    for path, value in balancer_status(entry):
        mode = entry.choice(value, "ipMode", path, ("VIP", "Proxy"), "VIP")
        hostname = entry.text(value, "hostname", path)
        if value.get("ip") not in (None, ""):
            address = entry.address(value["ip"], (*path, "ip"))
            if address:
                found.append(Ingress(address, mode))
        elif addresses.address(hostname):
            entry.fault((*path, "hostname"), f"{short(hostname)} is an address, which is said as ip")
        elif not value.get("hostname"):
            entry.fault(path, "left out: it has neither ip nor hostname", warning=True)
    if kind == "LoadBalancer" and not found and not is_others(balancer_class):
        single = entry.text(spec, "loadBalancerIP", ("spec",))
        asked = asked_balancer_ips(entry)
        if single and not asked:
            asked = [entry.outward(single, ("spec", "loadBalancerIP"))]
        found = [Ingress(address) for address in asked if address]
    return tuple(dict.fromkeys(found))


def balancer_status(entry: ObjectReader) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Where each entry of the status stands with which a controller answered the Service, and the entry."""
    status = entry.mapping(entry.mapping(entry.value, "status", ()), "loadBalancer", ("status",))
    yield from entry.mappings(status, "ingress", ("status", "loadBalancer"))


def asked_balancer_ips(entry: ObjectReader) -> list[str]:
    """The addresses that an annotation asks for."""
    key, text = entry.first_annotation(BALANCER_IPS)
    path = ("metadata", "annotations", key)
    return [entry.outward(each.strip(), path) for each in text.split(",") if each.strip()]


def declared_at(entry: ObjectReader, field: Path, address: str) -> Path:
    """The field in which the manifest has the ``address`` that the Service has in ``field``.

    That is another one where an address was asked for, and no status written. ``field`` where nobody wrote it, but
    Sluice gave it. Looked for only where something is wrong with the address, so that no Service keeps it.
    """
    return next((path for path, value in _declared(entry, field) if addresses.address(value) == address), field)


def _declared(entry: ObjectReader, field: Path) -> Iterator[tuple[Path, Any]]:
    """The fields from which ``field`` is read, with what they hold."""
    spec = entry.mapping(entry.value, "spec", ())
    if field[0] == "spec":
        yield ("spec", "clusterIP"), spec.get("clusterIP") if field[1] == "clusterIP" else ""
        key = "clusterIPs" if field[1] == "clusterIP" else str(field[1])
        for index, value in enumerate(entry.items(spec, key, ("spec",))):
            yield ("spec", key, index), value
        return
    for path, value in balancer_status(entry):
        yield (*path, "ip"), value.get("ip")
    key, text = entry.first_annotation(BALANCER_IPS)
    for each in text.split(","):
        yield ("metadata", "annotations", key), each.strip()
    yield ("spec", "loadBalancerIP"), spec.get("loadBalancerIP")


def _balancer_class(entry: ObjectReader, spec: dict[str, Any]) -> str:
    found = entry.text(spec, "loadBalancerClass", ("spec",))
    domain, slash, name = found.rpartition("/")
    if found and not (_CLASS_NAME.fullmatch(name) and (not slash or SUBDOMAIN.fullmatch(domain))):
        entry.fault(("spec", "loadBalancerClass"), f"{short(found)} is not a name such as example.com/internal")
        return ""
    return found


def is_others(balancer_class: str) -> bool:
    """Whether somebody else gives the Services of this loadBalancerClass their addresses."""
    return bool(balancer_class) and not balancer_class.startswith(ANNOTATION_PREFIX)


def _source_ranges(entry: ObjectReader, spec: dict[str, Any]) -> tuple[str, ...]:
    path = ("spec", "loadBalancerSourceRanges")
    found = (entry.network(value, (*path, index)) for index, value in enumerate(entry.items(spec, path[1], path[:1])))
    return tuple(network for network in found if network)


def _affinity(entry: ObjectReader, spec: dict[str, Any]) -> int:
    wanted = entry.choice(spec, "sessionAffinity", ("spec",), ("None", "ClientIP"), "None")
    config = entry.mapping(spec, "sessionAffinityConfig", ("spec",))
    path = ("spec", "sessionAffinityConfig", "clientIP")
    client = entry.mapping(config, "clientIP", path[:2])
    seconds = entry.number(client, "timeoutSeconds", path, 1, 86400, AFFINITY_SECONDS)
    if wanted == "ClientIP":
        return seconds
    if client and spec.get("sessionAffinity") in (None, "", "None"):
        entry.fault(path, "has no effect without sessionAffinity: ClientIP")
    return 0
