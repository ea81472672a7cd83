"""The elements of a table for one view: which packet, which endpoints, what is refused or dropped.

They are lines of ``nftables.nft``. What happens to a packet is what the chains of kube-proxy's iptables mode do with it
(``iptables/layout_ext.py``); here the same is said in data, for the chains of ``skeleton``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import ipaddress
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ... import addresses
from ...balancing import Balancing
from ...faults import Fault, InputError
from ...settings import Settings
from ...view import PortView, Target, View
from .. import shared
from ..interface import Memo
from . import layout, maglev, numbers, text
from .layout import LOCAL, SHAPES, class_id, register
from .skeleton import RANDOM, Guard, Way

Elements = dict[str, list[str]]
"""The lines of each set's elements, by the set's name."""

MAX_SLOTS = 16384
"""Slots of a list. Weights that need more are rounded; more endpoints than that are refused."""

_COMMENT = 127
"""Characters of a comment: nft(8) takes 128 bytes, with the zero at its end."""


_Key = TypeVar("_Key")


class Contents(NamedTuple):
    """What a table holds besides the skeleton: the lines of each set's elements (module text), and how many."""

    elements: Mapping[str, str]
    counts: Mapping[str, int]
    ways: list[Way]


def contents(view: View, settings: Settings, memo: Memo) -> Contents:
    """All elements for a view, in the order of its Services. Raises InputError where there is no room for them."""
    names = tuple(comment(port.display_name) for port in view.ports)
    with _saying("Services"):
        found = _numbers(names)
    parts = []
    for port, name in zip(view.ports, names):
        number = found[name]
        parts.append(memo.of(port, number, functools.partial(_part, number, view.family, settings)))
    return _assembled(view, settings, parts)


def guard(view: View, settings: Settings) -> Guard:
    """What of loopback is served; IPv6 has no route_localnet."""
    ipv4 = view.family == addresses.IPV4
    return Guard(ipv4 and shared.serves_localhost(settings), ipv4 and shared.has_host_ports_on_loopback(view))


class _List(NamedTuple):
    """Endpoints with what each takes of all connections, and those that only keep clients that they have."""

    slots: list[Target]
    keeping: list[Target]


@functools.lru_cache(maxsize=2)  # a family's: names change less often than endpoints
def _numbers(names: tuple[str, ...]) -> Mapping[str, int]:
    """The numbers of service ports, also of those without endpoints: these come and go."""
    return numbers.numbered(names, *layout.SERVICES)


class _Part(NamedTuple):
    """What a service port has in a table: elements by set and how many, lists with the way of each, its endpoints."""

    elements: Mapping[str, str]
    counts: Mapping[str, int]
    lists: Sequence[tuple[int, Way]]
    name: str
    hairpin: Sequence[str]


def _part(number: int, family: str, settings: Settings, port: PortView) -> _Part:
    """The part of a service port with that number, which depends on the names of all."""
    builder = _Builder(family, settings)
    with _saying(f"Service {port.display_name}"):
        builder.add(port, number)
    return builder.part(comment(port.display_name))


class _Builder:
    """Collects the lines of one service port."""

    def __init__(self, family: str, settings: Settings) -> None:
        self._family = family
        self._settings = settings
        self._elements: dict[str, list[str]] = {}
        self._hairpin: dict[str, None] = {}
        self._lists: list[tuple[int, Way]] = []

    def part(self, name: str) -> _Part:
        elements = {of: text.lines(found) for of, found in self._elements.items()}
        counts = {of: len(found) for of, found in self._elements.items()}
        return _Part(elements, counts, self._lists, name, list(self._hairpin))

    def add(self, port: PortView, number: int) -> None:
        """All elements of one service port."""
        how = shared.balancing_of(port, "")
        cluster, local = self._list(port, port.cluster, how), self._list(port, port.local, how)
        name = comment(port.display_name)
        drained = bool(port.targets) and not (cluster.slots or local.slots)  # by weights of 0
        serves = port.has_endpoints and not drained
        self._dispatch(port, name, number, serves=serves, here=bool(local.slots))
        ids = numbers.numbered({target.text for target in (*cluster.keeping, *local.keeping)}, *layout.ENDPOINTS)
        for which, found in ((0, cluster), (LOCAL, local)):
            if found.slots:
                self._balance(port, register(number, which), found, how, ids)

    def _dispatch(self, port: PortView, name: str, number: int, *, serves: bool, here: bool) -> None:
        """Where a packet to one of the port's addresses goes, and what refuses it where nothing answers."""
        inside = serves and not (port.internal_local and not here)
        outside = serves and not (port.external_local and not here)
        refusal = "drop" if serves else "refuse"
        about = f'comment "{name}"'
        to_cluster_ip = f"{port.cluster_ip} . {port.protocol} . {port.port} {about}"
        if inside:
            kind = layout.INSIDE_LOCAL if port.internal_local else layout.INSIDE
            self._put("addresses", f"{to_cluster_ip} : {class_id(register(number, kind))}")
        else:
            self._put(f"{refusal}-inside", to_cluster_ip)
        fenced = bool(serves and port.load_balancer_ips and port.source_ranges)
        plain = layout.OUTSIDE_LOCAL if port.external_local else layout.OUTSIDE
        behind_fence = layout.FENCED_OUTSIDE_LOCAL if port.external_local else layout.FENCED_OUTSIDE
        for ips, kind in ((port.external_ips, plain), (port.load_balancer_ips, behind_fence if fenced else plain)):
            for ip in ips:
                to_ip = f"{ip} . {port.protocol} . {port.port} {about}"
                if serves:
                    self._put("addresses", f"{to_ip} : {class_id(register(number, kind))}")
                if not outside:
                    self._put(f"{refusal}-outside", to_ip)
                if kind == behind_fence:
                    self._put("fenced", to_ip)
        if fenced:
            self._fence(port, number)
        if port.node_port:
            to_node = f"{port.protocol} . {port.node_port} {about}"
            if serves:
                self._put("node-ports", f"{to_node} : {class_id(register(number, plain))}")
            if not outside:
                self._put(f"{refusal}-node-ports", to_node)

    def _fence(self, port: PortView, number: int) -> None:
        """loadBalancerSourceRanges: the sources that may enter; a node that may enters a VIP of its own from that."""
        sources = list(port.source_ranges)
        if shared.node_may_enter(port, self._settings, self._family):
            sources += port.load_balancer_ips
        networks = (ipaddress.ip_network(source, strict=False) for source in sources)
        for network in ipaddress.collapse_addresses(networks):  # type: ignore[type-var]
            host = network.prefixlen == network.max_prefixlen
            text = str(network.network_address if host else network)
            self._put("ranges", f"{class_id(register(number))} . {text}")

    def _list(self, port: PortView, targets: Sequence[Target], how: Balancing) -> _List:
        """How the connections are shared among ``targets``; by the catalogue's endpoints where that is by hash."""
        weights = {target: how.weight_of(target.address, target.endpoint.weight) for target in targets}
        if len(weights) > MAX_SLOTS:
            raise ValueError(f"more than {MAX_SLOTS:,} endpoints")
        keeping: list[Target] = []
        if port.affinity_seconds:
            own = {target.endpoint.node for target in targets} if targets is port.local else None
            keeping = [
                target
                for target in dict.fromkeys((*targets, *port.endpoints))
                if target in weights
                or (
                    target.endpoint.serving
                    and target.endpoint.terminating
                    and (own is None or target.endpoint.node in own)
                )
            ]
        if not any(weights.values()):
            return _List([], keeping)
        if not how.hash:
            return _List(list(_shared_out(weights)), keeping)
        by_text = {target.text: target for target in (*port.endpoints, *targets)}
        size = maglev.slots_for(len(by_text))
        of_all = {
            text: max(1, how.weight_of(target.address, target.endpoint.weight))
            if target not in weights
            else weights[target]
            for text, target in by_text.items()
        }
        usable = {target.text for target in weights}
        return _List([by_text[text] for text in maglev.table(_reduced(of_all), usable, size)], keeping)

    def _balance(self, port: PortView, the_list: int, found: _List, how: Balancing, ids: Mapping[str, int]) -> None:
        """The slots of one list, and the way in which one of them is picked. ``ids``: the endpoints' numbers."""
        count = len(found.slots)
        local = bool(the_list & LOCAL)
        if port.affinity_seconds:
            way = Way(how.hash or RANDOM, count, port.affinity_seconds, local)
            self._sticky(the_list, found, ids)
        else:
            way = Way(how.hash or RANDOM, count)
            slots, key = self._elements.setdefault(f"slots-{port.protocol}", []), class_id(the_list)
            slots += [f"{key} . {at} : {target.address} . {target.port}" for at, target in enumerate(found.slots)]
        self._lists.append((the_list, way))
        self._hairpin.update(dict.fromkeys(target.address for target in (*found.slots, *found.keeping)))

    def _sticky(self, the_list: int, found: _List, ids: Mapping[str, int]) -> None:
        """Slots of endpoints by number, and the endpoint of each number: also of those that get no new clients."""
        service, key = the_list & layout.SERVICE_MASK, class_id(the_list)
        for at, target in enumerate(found.slots):
            self._put("sticky-slots", f"{key} . {at} : {class_id(service | ids[target.text])}")
        for target in found.keeping:
            endpoint = f"{class_id(service | ids[target.text])} : {target.address} . {target.port}"
            self._put("sticky-local" if the_list & LOCAL else "sticky", endpoint)

    def _put(self, name: str, line: str) -> None:
        self._elements.setdefault(name, []).append(line)


def _assembled(view: View, settings: Settings, parts: Sequence[_Part]) -> Contents:
    """All elements, in the order of Services: what one changes is in one place."""
    texts: dict[str, list[str]] = {name: [] for name in SHAPES}
    counts = dict.fromkeys(SHAPES, 0)
    for part in parts:
        for name, found in part.elements.items():
            texts[name].append(found)
            counts[name] += part.counts[name]
    elements: Elements = {name: [] for name in SHAPES}
    ways = sorted({*(way for part in parts for _list, way in part.lists), *_ways_to_come(parts, settings)})
    codes = _codes(ways)
    elements["lists"] += [
        f'{class_id(the_list)} comment "{part.name}" : {class_id(the_list | codes[way])}'
        for part in parts
        for the_list, way in part.lists
    ]
    elements["ways"] += [f"{class_id(codes[way])} : goto {way.chain}" for way in ways]
    elements["node-addresses"] += _node_addresses(view.family, settings)
    hairpin = dict.fromkeys(address for part in parts for address in part.hairpin)
    for entry in view.host_ports:
        protocol = entry.protocol.lower()
        for address in entry.addresses[:1]:
            hairpin[address] = None
            to_pod = f"{protocol} . {entry.host_port} : {address} . {entry.port}"
            if entry.host_ip:
                elements["host-ports-at"].append(f"{entry.host_ip} . {to_pod}")
            else:
                elements["host-ports"].append(to_pod)
    elements["hairpin"] += [f"{address} . {address}" for address in hairpin]
    for name, entries in elements.items():
        texts[name].append(text.lines(entries))
        counts[name] += len(entries)
    return Contents({name: "".join(found) for name, found in texts.items()}, counts, ways)


def _ways_to_come(parts: Sequence[_Part], settings: Settings) -> Iterator[Way]:
    """Ways that lists take when checks find endpoints down: what is there already need not be made then."""
    if settings.health:
        most = max((way.slots for part in parts for _list, way in part.lists if way.is_plain), default=0)
        yield from (Way(RANDOM, slots) for slots in range(1, min(most, _MOST_TO_COME)))


_MOST_TO_COME = 33
"""One more than the slots of a list for which there are ways to come: each is a chain of half a dozen rules."""


def _node_addresses(family: str, settings: Settings) -> Iterator[str]:
    """The node's own addresses that serve node ports, where not all of them do."""
    networks = settings.nodeport_networks(family)
    if addresses.ANY[family] in networks:
        return
    for address in dict.fromkeys(settings.node_addresses):
        if not any(addresses.contains(network, address) for network in networks):
            continue
        if addresses.is_loopback(address) and not (family == addresses.IPV4 and settings.localhost_nodeports):
            continue
        yield address


def comment(name: str) -> str:
    """What tells in the kernel whose an element is: the display name, or what is as good where that is too long."""
    if len(name) <= _COMMENT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _COMMENT - 17]}~{digest}"


def _shared_out(weights: Mapping[Target, int]) -> Iterator[Target]:
    """Each target as often as its weight says."""
    for target, share in _reduced(weights).items():
        yield from itertools.repeat(target, share)


def _reduced(weights: Mapping[_Key, int]) -> dict[_Key, int]:
    """The smallest weights with the same proportions; rounded where even these add up to more than MAX_SLOTS."""
    divisor = math.gcd(*weights.values())
    found = {key: weight // divisor for key, weight in weights.items()}
    total = sum(found.values())
    if total <= MAX_SLOTS:
        return found
    room = MAX_SLOTS - len(found)
    return {key: max(1, weight * room // total) if weight else 0 for key, weight in found.items()}


def _codes(ways: Iterable[Way]) -> dict[Way, int]:
    """The code of each way. Plain chance, which nearly all Services have, has its number of slots as its code."""
    plain = {way: way.slots for way in ways if way.is_plain}
    others = {way.chain: way for way in ways if way not in plain}
    with _saying("Services"):
        codes = numbers.numbered(others, *layout.CODES)
    return {**plain, **{way: codes[chain] for chain, way in others.items()}}


@contextlib.contextmanager
def _saying(subject: str) -> Iterator[None]:
    """Says whose a fault is that the layout has no room for."""
    try:
        yield
    except ValueError as error:
        raise InputError([Fault("catalogue", 0, subject, "", f"has {error}: nftables has no room for them")]) from None
