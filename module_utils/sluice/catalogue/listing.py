"""What a catalogue holds, in the words of ``kubectl get``: its tables, names and lists.

Columns, their order and what stands where there is nothing are those of Kubernetes' pkg/printers/internalversion, ages
those of its apimachinery/pkg/util/duration, the blanks those of kubectl's tabwriter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..addresses import host_port
from ..faults import printable
from . import objects
from .model import Catalogue, Node, Service
from .objects import Object
from .selectors import Selector

NONE, UNKNOWN, PENDING = "<none>", "<unknown>", "<pending>"

SHOWN_ENDPOINTS = 3
LOAD_BALANCER_WIDTH = 16
"""Characters of a load balancer's addresses that a table shows, unless it is wide."""

_ROLE, _ROLE_BEFORE = "node-role.kubernetes.io/", "kubernetes.io/role"


class Kind(NamedTuple):
    """A kind of objects. ``cells`` gives those of one row, with the wide ones, from an object and its age."""

    name: str
    """As ``-o name`` says it."""
    namespaced: bool
    columns: tuple[str, ...]
    wide: tuple[str, ...]
    found: Callable[[Catalogue], Sequence[Any]]
    cells: Callable[[Any, str, bool], Sequence[str]]
    document: Callable[[Any], Object]


def select(catalogue: Catalogue, kind: Kind, namespace: str, selector: Selector) -> list[Any]:
    """The objects of ``kind`` in ``namespace`` (``""``: in all) that ``selector`` takes, in the order of an API server.

    A Kind of no namespaces has its objects in every one.
    """
    found = kind.found(catalogue)
    if namespace and kind.namespaced:
        found = [each for each in found if each.namespace == namespace]
    return [each for each in found if selector.matches(dict(each.labels))] if selector.requirements else list(found)


Column = tuple[str, Callable[[Any], str]]
"""Its head, and the cell of an object."""


def table(
    kind: Kind,
    found: Iterable[Any],
    now: float,
    *,
    wide: bool = False,
    namespaces: bool = False,
    headers: bool = True,
    more: Sequence[Column] = (),
) -> str:
    """``found`` as a table, ``""`` where there is nothing. ``now``: seconds since the epoch, for ages.

    ``more``: columns behind those of the kind.
    """
    rows: list[list[str]] = []
    for each in found:
        cells = [*kind.cells(each, age(each.created, now), wide), *(cell(each) for _head, cell in more)]
        rows.append(list(map(printable, (each.namespace, *cells) if namespaces and kind.namespaced else cells)))
    if not rows:
        return ""
    if headers:
        columns = [*kind.columns, *(kind.wide if wide else ()), *(head for head, _cell in more)]
        rows.insert(0, [*(("NAMESPACE",) if namespaces and kind.namespaced else ()), *columns])
    return aligned(rows)


def names(kind: Kind, found: Iterable[Any]) -> str:
    """One line ``kind/name`` each."""
    return "".join(f"{kind.name}/{each.name}\n" for each in found)


def as_list(kind: Kind, found: Iterable[Any]) -> Object:
    """``found`` as one v1 List."""
    items = list(map(kind.document, found))
    return {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as the widest cell, three blanks between them, and six characters at least; the last is not."""
    widths = [max(6, 3 + max(map(len, column))) for column in zip(*rows)][:-1]
    line = "".join(f"{{:<{width}}}" for width in widths) + "{}\n"
    return "".join(line.format(*row) for row in rows)


def connections(counted: Mapping[tuple[str, str, int], int]) -> Column:
    """How many connections came to a Service at each address and node port that is ``counted``.

    Keys: an address, ``""`` for any of the node's own; ``tcp``, ``udp`` or ``sctp``; a port.
    """

    def cell(service: Service) -> str:
        found = []
        ips = (*service.cluster_ips, *service.external_ips, *(ingress.address for ingress in service.ingress))
        for port in service.ports:
            ways = [(ip, port.port) for ip in ips] + [("", port.node_port)]
            for ip, number in ways:
                count = counted.get((ip, port.protocol.lower(), number))
                if count is not None:
                    found.append(f"{host_port(ip, number) if ip else f'*:{number}'}/{port.protocol}={count}")
        return ",".join(found) or NONE

    return "CONNECTIONS", cell


def out(drained: Collection[str], down: Mapping[tuple[str, int], float], now: float) -> Column:
    """What of a Service's endpoints is out on this node: addresses that are ``drained``, and what is ``down``.

    ``down``: seconds of the epoch by address and port that were asked.
    """

    def cell(service: Service) -> str:
        own = {endpoint.address for piece in service.slices for endpoint in piece.endpoints}
        found = [f"{address} (drained)" for address in sorted(own.intersection(drained))]
        for (address, port), then in sorted(down.items()):
            if address in own:
                where = host_port(address, port) if port else address
                found.append(f"{where} (down {since(then, now)})")
        return ",".join(found) or NONE

    return "OUT", cell


# --- ages

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[-+]\d\d:\d\d)", re.ASCII)

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
_SECOND = 1
_AGES = (
    (2 * _MINUTE, (_SECOND, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (_SECOND, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
    (2 * _YEAR, (_DAY, "d"), None),
    (8 * _YEAR, (_YEAR, "y"), (_DAY, "d")),
)
"""Below so many seconds: the unit, and the next smaller one where it is not nothing."""


def age(created: str, now: float) -> str:
    """How long ago ``created`` (RFC 3339) was, as kubectl says it: ``45s``, ``3h12m``, ``17d``."""
    match = _RFC3339.fullmatch(created)
    try:
        then = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")) if match else None
    except ValueError:  # the 31st of February
        then = None
    if then is None:
        return UNKNOWN
    return since((then - _EPOCH).total_seconds(), now)


def since(then: float, now: float) -> str:
    """The same of two times in seconds of the epoch."""
    seconds = int(now - then)
    if seconds < -1:  # a clock may be a little behind
        return "<invalid>"
    seconds = max(seconds, 0)
    for below, (unit, letter), smaller in _AGES:
        if seconds < below:
            rest = seconds % unit // smaller[0] if smaller else 0
            return f"{seconds // unit}{letter}" + (f"{rest}{smaller[1]}" if smaller and rest else "")
    return f"{seconds // _YEAR}y"


# --- rows


def _service(service: Service, since: str, wide: bool) -> list[str]:
    ports = (f"{port.port}{f':{port.node_port}' if port.node_port else ''}/{port.protocol}" for port in service.ports)
    cells = [
        service.name,
        service.type,
        service.cluster_ips[0] if service.cluster_ips else NONE,
        _external(service, wide),
        ",".join(ports) or NONE,
        since,
    ]
    return [*cells, ",".join(f"{key}={value}" for key, value in sorted(service.selector)) or NONE] if wide else cells


def _external(service: Service, wide: bool) -> str:
    if service.type == objects.EXTERNAL_NAME:
        return service.external_name
    if service.type != "LoadBalancer":
        return ",".join(service.external_ips) or NONE
    own = ",".join(sorted({ingress.address for ingress in service.ingress}))
    if not wide and len(own) > LOAD_BALANCER_WIDTH:
        own = f"{own[: LOAD_BALANCER_WIDTH - 3]}..."
    return ",".join(filter(None, (own, *service.external_ips))) or PENDING


def _endpoints(service: Service, since: str, _wide: bool) -> list[str]:
    return [service.name, _ends(service), since]


def _ends(service: Service) -> str:
    """The first ready ones, subset by subset and port by port; nothing at all where there are only others."""
    subsets = objects.subsets(service.slices)
    if not subsets:
        return NONE
    shown: list[str] = []
    count = 0
    for ports, several in subsets:
        ready = [address.ip for address in several if address.ready]
        for port in ports or (None,):
            count += len(ready)
            for ip in ready[: SHOWN_ENDPOINTS - len(shown)]:
                shown.append(host_port(ip, port.port) if port else ip)
    more = f" + {count - SHOWN_ENDPOINTS} more..." if count > SHOWN_ENDPOINTS else ""
    return ",".join(shown) + more


def _node(node: Node, since: str, wide: bool) -> list[str]:
    info = dict(node.info)
    cells = [node.name, node.status, _roles(node), since, info.get("kubeletVersion", "")]
    if not wide:
        return cells
    addresses = (several[0] if several else NONE for several in (node.addresses, node.external_addresses))
    told = (info.get(key) or UNKNOWN for key in ("osImage", "kernelVersion", "containerRuntimeVersion"))
    return [*cells, *addresses, *told]


def _roles(node: Node) -> str:
    found = {label[len(_ROLE) :] for label, _value in node.labels if label.startswith(_ROLE)}
    found |= {value for label, value in node.labels if label == _ROLE_BEFORE}
    return ",".join(sorted(filter(None, found))) or NONE


SERVICES = Kind(
    name="service",
    namespaced=True,
    columns=("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"),
    wide=("SELECTOR",),
    found=objects.services,
    cells=_service,
    document=objects.service_object,
)
ENDPOINTS = Kind(
    name="endpoints",
    namespaced=True,
    columns=("NAME", "ENDPOINTS", "AGE"),
    wide=(),
    found=objects.with_endpoints,
    cells=_endpoints,
    document=objects.endpoints_object,
)
NODES = Kind(
    name="node",
    namespaced=False,
    columns=("NAME", "STATUS", "ROLES", "AGE", "VERSION"),
    wide=("INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"),
    found=objects.nodes,
    cells=_node,
    document=objects.node_object,
)
KINDS = {
    **dict.fromkeys(("services", "service", "svc"), SERVICES),
    **dict.fromkeys(("endpoints", "ep"), ENDPOINTS),
    **dict.fromkeys(("nodes", "node", "no"), NODES),
}
"""By what kubectl calls them."""
