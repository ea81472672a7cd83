"""Services in Sluice's flat nftables table: elements of maps (backends/nftables/layout.py has their form)."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..addresses import host_port
from ..backends.nftables import layout
from .nft_values import pattern
from .nftables import Table
from .service_ports import CLUSTER, LOCAL, NO_ENDPOINTS, NO_LOCAL_ENDPOINTS, SLUICE, Endpoints, ServicePort, evenly

_SECONDS = re.compile(r"-sticky(?:-local)?-(\d+)$")
_HASHED = re.compile(r"(source|source-port)-\d+")
_REFUSALS = {
    "refuse-inside": NO_ENDPOINTS,
    "drop-inside": NO_LOCAL_ENDPOINTS,
    "refuse-outside": NO_ENDPOINTS,
    "drop-outside": NO_LOCAL_ENDPOINTS,
    "refuse-node-ports": NO_ENDPOINTS,
    "drop-node-ports": NO_LOCAL_ENDPOINTS,
}
_LOCAL_KINDS = (layout.INSIDE_LOCAL, layout.OUTSIDE_LOCAL, layout.FENCED_OUTSIDE_LOCAL)


def has(table: Table) -> bool:
    """Whether a table has this layout."""
    return table.name == layout.TABLE and "addresses" in table.listed and "lists" in table.listed


def elements(table: Table, name: str) -> Iterator[tuple[Any, Any, str]]:
    """Of each element of a set or map its key, what it leads to (in a set: None), and its comment."""
    of = table.listed.get(name, {})
    for listed in of.get("elem", ()):
        key, data = (listed[0], listed[1]) if "map" in of else (listed, None)
        about = key["elem"].get("comment", "") if isinstance(key, dict) and "elem" in key else ""
        yield pattern(key), data, about


class Lists:
    """The lists of endpoints of a table, by their register, and how each is balanced."""

    def __init__(self, table: Table) -> None:
        ways = {key: str(data["goto"]["target"]) for key, data, _about in elements(table, "ways")}
        self.ways = {
            the_list: ways.get(pattern(data) & layout.LOW_BITS, "")
            for the_list, data, _about in elements(table, "lists")
        }
        self.slots: dict[int, list[str]] = {}
        for name in ("slots-tcp", "slots-udp", "slots-sctp"):
            for (the_list, _index), data, _about in elements(table, name):
                self.slots.setdefault(the_list, []).append(host_port(*pattern(data)))
        self.keeping: Counter[int] = Counter()
        """How many endpoints are kept by number for clients that have them, by the Service's register."""
        self.kept: dict[int, set[str]] = {}
        """These endpoints, by the list's register."""
        sticky = {
            local: {key: host_port(*pattern(data)) for key, data, _about in elements(table, name)}
            for local, name in ((0, "sticky"), (layout.LOCAL, "sticky-local"))
        }
        for local, of in sticky.items():
            self.keeping.update(key & layout.SERVICE_MASK for key in of)
            for key, text in of.items():
                self.kept.setdefault(key & layout.SERVICE_MASK | local, set()).add(text)
        for (the_list, _index), data, _about in elements(table, "sticky-slots"):
            known = sticky[the_list & layout.LOCAL].get(pattern(data))
            if known:
                self.slots.setdefault(the_list, []).append(known)

    def endpoints(self, the_list: int) -> Endpoints:
        return evenly(self.slots.get(the_list, ()))

    def only_kept(self, the_list: int) -> set[str]:
        """The endpoints that get no new clients."""
        return self.kept.get(the_list, set()).difference(self.slots.get(the_list, ()))

    def hashed(self, the_list: int) -> str:
        """What of a client decides where it goes, where chance does not."""
        found = _HASHED.match(self.ways.get(the_list, ""))
        return found[1] if found else ""

    def seconds(self, the_list: int) -> int:
        found = _SECONDS.search(self.ways.get(the_list, ""))
        return int(found[1]) if found else 0


def ports(table: Table) -> Iterator[ServicePort]:
    """The service ports in a table."""
    found: dict[tuple[str, str], _Found] = {}

    def of(name: str, protocol: str) -> _Found:
        return found.setdefault((name, protocol), _Found(name, protocol))

    fenced = {key for key, _data, _about in elements(table, "fenced")}
    for key, data, name in elements(table, "addresses"):
        of(name, key[1]).leads(key, pattern(data), is_fenced=key in fenced)
    for key, data, name in elements(table, "node-ports"):
        of(name, key[0]).leads_from_nodes(key, pattern(data))
    for where, why in _REFUSALS.items():
        for key, _data, name in elements(table, where):
            of(name, key[-2]).refuses(where, key, why)
    for key, _data, name in elements(table, "fenced"):
        of(name, key[1]).entries += 1
    lists, ranges = Lists(table), _ranges(table)
    own = tuple(sorted(key for key, _data, _about in elements(table, "node-addresses")))
    for each in found.values():
        yield each.port(lists, ranges, own)


def _ranges(table: Table) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = {}
    for (service, network), _data, _about in elements(table, "ranges"):
        found.setdefault(service, []).extend(networks(network))
    return found


def networks(listed: Any) -> Iterator[str]:
    """A network, address or range of a set, as networks and addresses."""
    if not isinstance(listed, dict):
        yield str(listed)
    elif "prefix" in listed:
        yield f"{listed['prefix']['addr']}/{listed['prefix']['len']}"
    elif "range" in listed:
        # Neighbours have become one: what nft merges is no network any more.
        low, high = map(ipaddress.ip_address, listed["range"])
        yield from map(str, ipaddress.summarize_address_range(low, high))


class _Found:
    """What elements tell of one service port."""

    def __init__(self, name: str, protocol: str) -> None:
        self._port = ServicePort(SLUICE, name, protocol)
        self._number = 0
        self.entries = 0

    def leads(self, key: tuple[str, str, int], register: int, *, is_fenced: bool) -> None:
        port, kind = self._port, register & layout.LOW_BITS
        self._number, self.entries = register & layout.SERVICE_MASK, self.entries + 1
        policy = LOCAL if kind in _LOCAL_KINDS else CLUSTER
        if kind in (layout.INSIDE, layout.INSIDE_LOCAL):
            self._port = port._replace(cluster_ip=key[0], port=key[2], internal_policy=policy)
            return
        self._port = port._replace(port=key[2], external_policy=policy)
        if is_fenced:
            self._port = self._port._replace(load_balancer_ips=(*port.load_balancer_ips, key[0]))
        else:
            self._port = self._port._replace(external_ips=(*port.external_ips, key[0]))

    def leads_from_nodes(self, key: tuple[str, int], register: int) -> None:
        self._number, self.entries = register & layout.SERVICE_MASK, self.entries + 1
        policy = LOCAL if register & layout.LOW_BITS in _LOCAL_KINDS else CLUSTER
        self._port = self._port._replace(node_port=key[1], external_policy=policy)

    def refuses(self, where: str, key: tuple[Any, ...], why: str) -> None:
        port, self.entries = self._port, self.entries + 1
        policy = LOCAL if why == NO_LOCAL_ENDPOINTS else ""
        if where.endswith("-inside"):
            found = port._replace(cluster_ip=key[0], port=key[2], inside=why)
            self._port = found._replace(internal_policy=found.internal_policy or policy)
            return
        found = port._replace(outside=why, external_policy=port.external_policy or policy)
        if where.endswith("-node-ports"):
            found = found._replace(node_port=key[1])
        else:
            known = (*port.external_ips, *port.load_balancer_ips)
            external = port.external_ips if key[0] in known else (*port.external_ips, key[0])
            found = found._replace(port=key[2], external_ips=external)
        self._port = found

    def port(self, lists: Lists, ranges: Mapping[int, list[str]], own: tuple[str, ...]) -> ServicePort:
        cluster, local = self._number, self._number | layout.LOCAL
        allowed = ranges.get(cluster, []) if self._number else []
        entries = self.entries + len(allowed) + lists.keeping[cluster]
        for the_list in (cluster, local):
            if self._number and the_list in lists.ways:
                entries += 1 + len(lists.slots.get(the_list, ()))
        vips, kept = self._port.load_balancer_ips, lists.kept
        seconds = lists.seconds(cluster) or lists.seconds(local) if self._number else 0
        here = kept.get(local, set()) if self._number else set()
        return self._port._replace(
            endpoints=lists.endpoints(cluster) if self._number else (),
            local_endpoints=lists.endpoints(local) if self._number else (),
            affinity_seconds=seconds,
            # A node that may enter does so from the load balancer's own address.
            source_ranges=tuple(each for each in allowed if each not in vips),
            node_may_enter=any(each in vips for each in allowed),
            unsure_ips=() if allowed else self._port.external_ips,
            on_node=frozenset(here),
            kept=frozenset(lists.only_kept(cluster) | lists.only_kept(local)) if seconds else None,
            hashed=lists.hashed(cluster) or lists.hashed(local),
            node_addresses=own if self._port.node_port else (),
            entries=entries,
        )
