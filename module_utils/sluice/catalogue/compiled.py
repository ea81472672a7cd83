"""The compiled form of a catalogue: JSON that is read in a fraction of the time that manifests take.

Its first line says what it is, with a digest of the second one, which is the catalogue: each NamedTuple of ``model`` a
list. The digest tells a file that is damaged, and nothing more, since anybody can make one. So the form of every field
is asked for as well: what validation promises of a catalogue holds for this one, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from .. import balancing, forms
from ..addresses import FAMILIES
from ..forms import FormError, matching, optional, rows, several, whole
from .model import Catalogue, Endpoint, EndpointSlice, HostPort, Ingress, Node, Service, ServicePort, SlicePort
from .pods import MAX_COMMENT, comment_length
from .reader import ANNOTATIONS, PROTOCOLS
from .services import SERVICE_TYPES

_HEAD = '{"format":"sluice-catalogue-'
FORMAT = f'{_HEAD}2","sha256":"%s","catalogue":\n'
"""The first line; its number changes whenever a field of ``model`` does."""

_LABEL, _SUBDOMAIN = matching(forms.LABEL), matching(forms.SUBDOMAIN)


def text(catalogue: Catalogue) -> str:
    """The catalogue as text that ``load`` reads."""
    body = json.dumps(catalogue, separators=(",", ":")) + "}\n"
    return FORMAT % digest(body) + body


def digest(body: str) -> str:
    return hashlib.sha256(body.encode(errors="surrogatepass")).hexdigest()


def is_one(begin: str) -> bool:
    """Whether a file that begins like this means to be a compiled catalogue, of whatever release."""
    return begin.startswith(_HEAD)


def body(found: str) -> str:
    """The second line of ``found``, which is as it was written. Raises ValueError, which says what is wrong."""
    head, _newline, rest = found.partition("\n")
    if head + "\n" != FORMAT % digest(rest):
        release = head.startswith(FORMAT.partition("%")[0])
        raise ValueError("it is damaged" if release else "another release of Sluice compiled it")
    return rest


def load(found: str) -> Catalogue:
    """The catalogue in what ``text`` wrote. Raises ValueError, which says what is wrong with it."""
    rest = body(found)
    try:
        value = json.loads(rest[:-2])
        _CATALOGUE([value])
    except FormError as error:
        raise ValueError(f"it is damaged: {error}") from None
    except (ValueError, RecursionError):
        raise ValueError("it is damaged") from None
    services, host_ports, nodes = value
    return Catalogue(
        services=tuple(map(_service, services)),
        host_ports=tuple(HostPort(*row)._replace(addresses=tuple(row[7])) for row in host_ports),
        nodes=tuple(Node(row[0], _pairs(row[1]), tuple(row[2])) for row in nodes),
    )


def _service(row: list[Any]) -> Service:
    service = Service(*row)
    return service._replace(
        cluster_ips=tuple(service.cluster_ips),
        ports=tuple(ServicePort(*port) for port in service.ports),
        slices=tuple(map(_slice, service.slices)),
        external_ips=tuple(service.external_ips),
        ingress=tuple(Ingress(*entry) for entry in service.ingress),
        source_ranges=tuple(service.source_ranges),
        annotations=_pairs(service.annotations),
    )


def _slice(row: Any) -> EndpointSlice:
    family, ports, endpoints = row
    return EndpointSlice(family, tuple(SlicePort(*port) for port in ports), tuple(map(_endpoint, endpoints)))


def _endpoint(row: list[Any]) -> Endpoint:
    row[5], row[6] = tuple(row[5]), tuple(row[6])  # hints
    return Endpoint._make(row)


def _pairs(pairs: Any) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in pairs)


# --- the form of every field


def _target_port(column: Sequence[Any]) -> bool:
    """A number, or the name of a port."""
    named = [value for value in column if type(value) is not int]
    return _LABEL(named) and forms.port([value for value in column if type(value) is int])


def _pair(column: Sequence[Any]) -> bool:
    """Keys and values, both text."""
    return set(map(type, column)) <= {list} and set(map(len, column)) <= {2} and several(forms.text)(column)


def _annotations(column: Sequence[Any]) -> bool:
    return several(_pair)(column) and not any(
        list(balancing.faults(pairs)) or not {key for key, _value in pairs} <= set(ANNOTATIONS["Service"])
        for pairs in column
        if pairs
    )


def _host_port(column: Sequence[Any]) -> bool:
    return _HOST_PORT(column) and all(comment_length(row[0], row[1]) <= MAX_COMMENT for row in column)


_ENDPOINT = rows(
    Endpoint,
    {
        "address": forms.address,
        "node": forms.text,  # an inventory host's name may be anything; it is compared, never written
        "ready": forms.flag,
        "serving": forms.flag,
        "terminating": forms.flag,
        "zone_hints": several(forms.text),
        "node_hints": several(forms.text),
        "weight": optional(whole(0, balancing.MAX_WEIGHT), None),
    },
)
_SLICE_PORT = rows(SlicePort, {"name": optional(_LABEL), "protocol": forms.among(PROTOCOLS), "port": forms.port})
_SLICE = rows(
    EndpointSlice,
    {"family": forms.among(FAMILIES), "ports": several(_SLICE_PORT), "endpoints": several(_ENDPOINT)},
)
_SERVICE_PORT = rows(
    ServicePort,
    {
        "name": optional(_LABEL),
        "protocol": forms.among(PROTOCOLS),
        "port": forms.port,
        "target": _target_port,
        "node_port": whole(0, 65535),
    },
)
_INGRESS = rows(Ingress, {"address": forms.address, "mode": forms.among(("VIP", "Proxy"))})
_SERVICE = rows(
    Service,
    {
        "namespace": _LABEL,
        "name": _LABEL,
        "type": forms.among(SERVICE_TYPES),
        "cluster_ips": several(forms.address),
        "ports": several(_SERVICE_PORT),
        "slices": several(_SLICE),
        "external_ips": several(forms.address),
        "ingress": several(_INGRESS),
        "source_ranges": several(forms.network),
        "affinity_seconds": whole(0, 86400),
        "external_local": forms.flag,
        "internal_local": forms.flag,
        "health_check_node_port": whole(0, 65535),
        "annotations": _annotations,
    },
)
_HOST_PORT = rows(
    HostPort,
    {
        "namespace": _LABEL,
        "pod": _SUBDOMAIN,
        "pod_id": matching(forms.POD_ID),
        "node": _SUBDOMAIN,
        "protocol": forms.among(PROTOCOLS),
        "host_ip": optional(forms.address),
        "host_port": forms.port,
        "addresses": several(forms.address),
        "port": forms.port,
    },
)
_NODE = rows(Node, {"name": _SUBDOMAIN, "labels": several(_pair), "addresses": several(forms.address)})
_CATALOGUE = rows(
    Catalogue, {"services": several(_SERVICE), "host_ports": several(_host_port), "nodes": several(_NODE)}
)
