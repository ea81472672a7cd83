"""What the kernel has counted, by Service and endpoint: the layers' counters with the names of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..backends import registry
from ..backends.interface import Count, Counters, Entry
from ..catalogue.model import Catalogue


class ServicePort(NamedTuple):
    """A port of a Service, of both address families. ``name`` may be empty; ``protocol`` is ``TCP`` or the like."""

    namespace: str
    service: str
    name: str
    protocol: str

    @property
    def text(self) -> str:
        """``shop/web:http``, as kube-proxy shows it."""
        return f"{self.namespace}/{self.service}" + (f":{self.name}" if self.name else "")


class Counted(NamedTuple):
    """What went to a service port, and of that to each endpoint (``address:port``).

    ``whole``: packets are all of a connection, both ways; else they are those alone that begin one. Endpoints are none
    where the layer does not tell them apart.
    """

    total: Count
    endpoints: Mapping[str, Count]
    whole: bool


Traffic = Mapping[ServicePort, Counted]


def read(*, endpoints: bool = True) -> list[Counters]:
    """What the kernel has counted, by layer; with ``endpoints`` by them as well, which takes several times as long.

    Nothing for others than root. Raises NodeError.
    """
    found = [layer.counters(endpoints=endpoints) for layer in registry.layers()]
    return [each for each in found if each.entries]


def by_service(catalogue: Catalogue, counters: Iterable[Counters]) -> dict[ServicePort, Counted]:
    """What was counted for each service port that the kernel has, in the catalogue's order.

    What no Service of the catalogue has is left out: another program's, or a Pod's host port.
    """
    entries = ways(catalogue)
    totals: dict[ServicePort, Count] = {}
    endpoints: dict[ServicePort, dict[str, Count]] = {}
    whole: set[ServicePort] = set()
    for found in counters:
        for entry, count in found.entries.items():
            port = port_at(entries, entry)
            if port:
                totals[port] = totals[port].plus(count) if port in totals else count
                whole.update([port] if found.whole else ())
        for (entry, where), count in found.endpoints.items():
            port = port_at(entries, entry)
            if port:
                own = endpoints.setdefault(port, {})
                own[where] = own[where].plus(count) if where in own else count
    order = [port for port in dict.fromkeys(entries.values()) if port in totals]
    return {port: Counted(totals[port], endpoints.get(port, {}), port in whole) for port in order}


def ways(catalogue: Catalogue) -> dict[Entry, ServicePort]:
    """Where connections to each service port come in."""
    found: dict[Entry, ServicePort] = {}
    for service in catalogue.services:
        ips = (*service.cluster_ips, *service.external_ips, *(ingress.address for ingress in service.ingress))
        for port in service.ports:
            own = ServicePort(service.namespace, service.name, port.name, port.protocol)
            protocol = port.protocol.lower()
            found.update((Entry(ip, protocol, port.port), own) for ip in ips)
            if port.node_port:
                found[Entry("", protocol, port.node_port)] = own
    return found


def port_at(entries: Mapping[Entry, ServicePort], entry: Entry) -> ServicePort | None:
    """Whose an entry is; IPVS has one for each address of the node that serves a node port."""
    return entries.get(entry) or entries.get(entry._replace(address=""))
