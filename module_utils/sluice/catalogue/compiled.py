"""The compiled form of a catalogue: JSON that is read in a fraction of the time that manifests take.

Its first line says what it is, with a digest of the second one, which is the catalogue: each NamedTuple of ``model`` a
list. The digest tells a file that is damaged, and nothing more, since anybody can make one. So the form of every field
is asked for as well: what validation promises of a catalogue holds for this one, too.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from .. import balancing, forms, probes
from ..addresses import FAMILIES
from ..forms import FormError, matching, optional, rows, several, whole
from .model import Catalogue, Endpoint, EndpointSlice, HostPort, Ingress, Node, Service, ServicePort, SlicePort
from .pods import MAX_COMMENT, comment_length
from .reader import ANNOTATIONS, HEALTH_CHECK, PROTOCOLS
from .services import FAMILY_POLICIES, SERVICE_TYPES

_HEAD = '{"format":"sluice-catalogue-'
FORMAT = f'{_HEAD}3","sha256":"%s","catalogue":\n'
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
    services, host_ports, nodes, idle = value
    return Catalogue(
        _each(_service, services), _each(_host_port_of, host_ports), _each(_node, nodes), _each(_service, idle)
    )


# What follows gets lists that are of their form, and turns them in place into what their rows are: a row more costs
# little more than its own tuple.

_new = tuple.__new__


def _each(make: Callable[[list[Any]], Any], found: list[list[Any]]) -> tuple[Any, ...]:
    return tuple(map(make, found))


def _rows(kind: type[Any], found: list[list[Any]]) -> tuple[Any, ...]:
    return tuple(map(_new, repeat(kind), found))


def _service(row: list[Any]) -> Service:
    for place in _TUPLES:
        row[place] = tuple(row[place])
    row[_PORTS] = _rows(ServicePort, row[_PORTS])
    row[_SLICES] = tuple(map(_slice, row[_SLICES]))
    row[_INGRESSES] = _rows(Ingress, row[_INGRESSES])
    for place in _PAIRS:
        row[place] = tuple(map(tuple, row[place]))
    return _new(Service, row)


_TUPLES = [Service._fields.index(name) for name in ("cluster_ips", "external_ips", "source_ranges")]
_PAIRS = [Service._fields.index(name) for name in ("annotations", "labels", "selector")]
_PORTS, _SLICES, _INGRESSES = (Service._fields.index(name) for name in ("ports", "slices", "ingress"))


def _slice(row: list[Any]) -> EndpointSlice:
    family, ports, endpoints = row
    for endpoint in endpoints:
        endpoint[_ZONES], endpoint[_NODES] = tuple(endpoint[_ZONES]), tuple(endpoint[_NODES])
    return EndpointSlice(family, _rows(SlicePort, ports), _rows(Endpoint, endpoints))


_ZONES, _NODES = Endpoint._fields.index("zone_hints"), Endpoint._fields.index("node_hints")


def _host_port_of(row: list[Any]) -> HostPort:
    return HostPort(*row)._replace(addresses=tuple(row[7]))


def _node(row: list[Any]) -> Node:
    name, labels, own, external, status, info, created = row
    return Node(name, tuple(map(tuple, labels)), tuple(own), tuple(external), status, tuple(map(tuple, info)), created)


# --- the form of every field


def _target_port(column: Sequence[Any]) -> bool:
    """A number, or the name of a port."""
    named = [value for value in column if not isinstance(value, int)]
    return _LABEL(named) and forms.port([value for value in column if isinstance(value, int)])


def _pair(column: Sequence[Any]) -> bool:
    """Keys and values, both text."""
    return set(map(type, column)) <= {list} and set(map(len, column)) <= {2} and several(forms.text)(column)


def _annotations(column: Sequence[Any]) -> bool:
    return several(_pair)(column) and not any(
        list(balancing.faults(pairs))
        or not {key for key, _value in pairs} <= set(ANNOTATIONS["Service"])
        or not all(_is_probe(value) for key, value in pairs if key == HEALTH_CHECK)
        for pairs in column
        if pairs
    )


@functools.lru_cache(maxsize=1024)
def _is_probe(text: str) -> bool:
    """Whether this is a health check, as JSON."""
    try:
        return not list(probes.faults(json.loads(text)))
    except (ValueError, RecursionError):
        return False


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
        "labels": several(_pair),
        "selector": several(_pair),
        "external_name": forms.text,
        "load_balancer_class": forms.text,
        "publishes_not_ready": forms.flag,
        "ip_family_policy": forms.among(("", *FAMILY_POLICIES)),
        "created": forms.text,
    },
)
_HOST_PORT = rows(
    HostPort,
    {
        "namespace": _LABEL,
        "pod": _SUBDOMAIN,
        "pod_id": matching(forms.POD_ID),
        "node": forms.text,
        "protocol": forms.among(PROTOCOLS),
        "host_ip": optional(forms.address),
        "host_port": forms.port,
        "addresses": several(forms.address),
        "port": forms.port,
    },
)
_NODE = rows(
    Node,
    {
        "name": _SUBDOMAIN,
        "labels": several(_pair),
        "addresses": several(forms.address),
        "external_addresses": several(forms.address),
        "status": forms.text,
        "info": several(_pair),
        "created": forms.text,
    },
)
_CATALOGUE = rows(
    Catalogue,
    {
        "services": several(_SERVICE),
        "host_ports": several(_host_port),
        "nodes": several(_NODE),
        "idle": several(_SERVICE),
    },
)
