"""What of a table does not depend on Services: its sets and maps, without elements, and its chains.

::

    prerouting, output ─ services ─ @addresses, @node-ports ─ kinds ─┬─ inside, inside-local            masquerades
                                                                     ├─ outside, outside-local          by policy
                                                                     └─ fenced-outside…  @ranges        by source
                              @host-ports                            to-cluster, to-local: which list
                                                                       └─ balance ─ @lists ─ @ways ─ dnat … map @slots
    input, forward, output ── what nothing answers: @refuse-…, @drop-…, @fenced
    postrouting ───────────── masquerades what is marked, and hairpins; gives the register back

Everything here is written as nft 1.0.6 (Debian 12) loads it and lists it so that it loads again. What that forbids: a
mask within a concatenation (it is listed without its parentheses), the type of a number (``typeof`` names it), more
than 16 bytes in the key of an ``update`` of a map, a map in the place of a set (Linux 6.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ... import addresses, notrack
from ...settings import Settings
from . import layout
from .layout import FAMILIES, LIST_MASK, LOCAL, LOW_BITS, PROTOCOLS, SERVICE_MASK, SHAPES, TAG

_ROOM = 1024
"""The least size of a set. One that grows is filled and read slowly, and a dump may miss what is being moved."""

AFFINITY_CLIENTS = 262144

_KINDS = ", ".join(f"{layout.class_id(kind)} : goto {chain}" for kind, chain in layout.KINDS.items())
_ANY_PROTOCOL = f"meta l4proto {{ {', '.join(PROTOCOLS)} }}"
_SERVICE = f"meta priority set meta priority & {SERVICE_MASK:#x}"
_LOCAL_LIST = f"{_SERVICE} | {LOCAL:#x}"
_FIRST_SLOT = "numgen random mod 1"
"""A list always has it: it may have become shorter between two look-ups of a packet."""

_SEED = "0x51ce"
"""Of the hash of a client; the same on every node, so that all balancers send a client to the same endpoint."""


NAT_PRIORITY = -101
"""Before the chains of whoever has the usual one, dstnat (-100): only the first rewriting of a destination counts."""

RANDOM = "random"


class Way(NamedTuple):
    """A way of balancing, which is a chain.

    ``pick`` is how one of ``slots`` is picked: RANDOM, or by a hash of the client (``source``, ``source-port``).
    With ``seconds`` a client gets the same endpoint again until it was not seen for so long, of policy Cluster's
    endpoints or of policy Local's (``local``).
    """

    pick: str
    slots: int
    seconds: int = 0
    local: bool = False

    @property
    def chain(self) -> str:
        words = [self.pick, str(self.slots)]
        if self.seconds:
            words += ["sticky-local" if self.local else "sticky", str(self.seconds)]
        return "-".join(words)

    @property
    def is_plain(self) -> bool:
        return self.pick == RANDOM and not self.seconds and self.slots <= layout.FEW

    def slot(self, family: str) -> str:
        """The number of the slot."""
        ip = FAMILIES[family]
        if self.pick == RANDOM:
            return f"numgen random mod {self.slots}"
        client = f"{ip} saddr . th sport" if self.pick == "source-port" else f"{ip} saddr"
        return f"jhash {client} mod {self.slots} seed {_SEED}"


def size_for(count: int) -> int:
    """A set's size where it has so many elements: a power of two, at least twice as many."""
    return max(_ROOM, 1 << (2 * count - 1).bit_length()) if count else _ROOM


def sets(family: str, sizes: Mapping[str, int], clients: int) -> Iterator[str]:
    """The definitions of all sets and maps. ``clients``: how many keep their endpoint by session affinity."""
    for name, shape in SHAPES.items():
        kind = "map" if shape.data else "set"
        of = "typeof" if layout.INDEX in shape.key else "type"
        flags = ["flags interval"] if layout.NETWORK in shape.key else [f"size {sizes.get(name, _ROOM)}"]
        counter = ["counter"] if shape.counted else []
        yield from _block(f"{kind} {name}", [f"{of} {_type(name, family)}", *flags, *counter])
    client = "type ipv4_addr . classid : classid"
    if family == addresses.IPV6:  # an address is too long for the key of an update: two hashes of it
        client = "typeof numgen random mod 2 . numgen random mod 2 . meta priority : meta priority"
    yield from _block(
        f"map {layout.AFFINITY}", [client, f"size {clients or AFFINITY_CLIENTS}", "flags dynamic,timeout"]
    )
    yield from _block(f"set {layout.MADE_OF}", ["type classid", "size 16"])


def _type(name: str, family: str) -> str:
    shape = SHAPES[name]
    ip = FAMILIES[family]
    if layout.INDEX in shape.key:
        protocol = name.rpartition("-")[2]
        words = {
            layout.REGISTER: "meta priority",
            layout.INDEX: "numgen random mod 2",  # whatever the modulus
            layout.ADDRESS: f"{ip} daddr",
            layout.PORT: f"{protocol} dport",  # of one protocol: else rules that come later are not taken
        }
    else:
        address = "ipv4_addr" if family == addresses.IPV4 else "ipv6_addr"
        words = {
            layout.REGISTER: "classid",
            layout.ADDRESS: address,
            layout.NETWORK: address,
            layout.PROTOCOL: "inet_proto",
            layout.PORT: "inet_service",
            layout.VERDICT: "verdict",
        }
    key, data = (" . ".join(words[field] for field in fields) for fields in (shape.key, shape.data))
    return f"{key} : {data}" if data else key


def _block(head: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"\t{head} {{"
    yield from (f"\t\t{line}" for line in lines)
    yield "\t}"


def flowtable(settings: Settings) -> Iterator[str]:
    """The devices between which packets of established connections take a short cut, if there are any."""
    if settings.flowtable:
        lines = ["hook ingress priority filter", layout.devices(settings.flowtable)]
        yield from _block(f"flowtable {layout.FLOWTABLE}", lines)


class Guard(NamedTuple):
    """What of the node's loopback addresses is served, from there alone."""

    node_ports: bool
    host_ports: bool


def chains(family: str, settings: Settings, guard: Guard) -> Iterator[str]:
    """The chains that there always are."""
    for head, lines in (
        *_balancing(family, settings),
        *_dispatch(family, settings, guard),
        *_filters(family, settings, guard),
        *_untracked(settings),
        ("chain nat-postrouting", _postrouting(family, settings, guard)),
    ):
        yield from _block(head, lines)


def _balancing(family: str, settings: Settings) -> Iterator[tuple[str, list[str]]]:
    """From the kind of an address to a list of endpoints, and how that is balanced."""
    ip, cidr = FAMILIES[family], settings.cluster_cidr(family)
    mark = f"meta mark set meta mark | {_mark(settings):#x}"
    # As it is asked twice, an element that is just being replaced is found: the kernel does that in two steps.
    look_up = ["meta priority set meta priority map @lists", f"meta priority & {LOW_BITS:#x} vmap @ways"]
    yield "chain balance", look_up * 2
    yield "chain to-cluster", [_SERVICE, "goto balance"]
    yield "chain to-local", [_LOCAL_LIST, "goto balance"]
    masquerading = [mark] if settings.masquerade_all else [f"{ip} saddr != {cidr} {mark}"] if cidr else []
    yield "chain inside", [*masquerading, "goto to-cluster"]
    yield "chain inside-local", [*masquerading, "goto to-local"]
    yield "chain outside", [mark, "goto to-cluster"]
    own = [f"{ip} saddr {cidr} goto to-cluster"] if cidr else []
    yield "chain outside-local", [*own, f"fib saddr type local {mark} goto to-cluster", "goto to-local"]
    allowed = f"meta priority & {SERVICE_MASK:#x} . {ip} saddr @ranges"
    yield "chain fenced-outside", [f"{allowed} goto outside"]
    yield "chain fenced-outside-local", [f"{allowed} goto outside-local"]
    yield "chain kinds", [f"meta priority & {LOW_BITS:#x} vmap {{ {_KINDS} }}"]


def _dispatch(family: str, settings: Settings, guard: Guard) -> Iterator[tuple[str, list[str]]]:
    """From an address to the kind that it is. What is not rewritten goes on to the next rule."""
    ip, loopback = FAMILIES[family], addresses.LOOPBACK[family]
    front_end = f"{ip} daddr . meta l4proto . th dport"
    here = f"fib daddr type local {ip} daddr != {loopback}"
    node = f"{ip} daddr @node-addresses"
    if addresses.ANY[family] in settings.nodeport_networks(family):
        node = "fib daddr type local" if guard.node_ports else here
    on_loopback = [
        # A neighbour, too, can send to the node's loopback (CVE-2020-8558).
        f"{ip} daddr {loopback} fib saddr type local {_ANY_PROTOCOL} dnat {ip} to {front_end} map @host-ports-at"
    ]
    yield (
        "chain services",
        [
            f"meta priority set {front_end} map @addresses jump kinds",
            f"{node} meta priority set meta l4proto . th dport map @node-ports jump kinds",
            f"{here} {_ANY_PROTOCOL} dnat {ip} to {front_end} map @host-ports-at",
            *(on_loopback if guard.host_ports else []),
            f"{here} {_ANY_PROTOCOL} dnat {ip} to meta l4proto . th dport map @host-ports",
        ],
    )
    yield "chain nat-prerouting", [f"type nat hook prerouting priority {NAT_PRIORITY}; policy accept", "jump services"]
    yield "chain nat-output", [f"type nat hook output priority {NAT_PRIORITY}; policy accept", "jump services"]


def _filters(family: str, settings: Settings, guard: Guard) -> Iterator[tuple[str, list[str]]]:
    """What nothing answers: refused at once, or dropped where another node answers."""
    ip = FAMILIES[family]
    key = f"{ip} daddr . meta l4proto . th dport"
    reject = f"reject with {'icmp' if family == addresses.IPV4 else 'icmpv6'} type port-unreachable"
    new = ["ct state != new accept", f"{key} @fenced drop"]
    localnet = []
    if family == addresses.IPV4 and (guard.node_ports or guard.host_ports):
        # route_localnet opens 127.0.0.0/8 to neighbours (CVE-2020-8558).
        outside = f"ip daddr {addresses.LOOPBACK[family]} ip saddr != {addresses.LOOPBACK[family]}"
        localnet = [f"{outside} ct state != {{ established, related }} ct status & dnat == 0 drop"]
    yield "chain new-inside", [f"{key} @refuse-inside {reject}", f"{key} @drop-inside drop"]
    yield "chain new-outside", [f"{key} @refuse-outside {reject}", f"{key} @drop-outside drop"]
    node_port = "meta l4proto . th dport"
    yield (
        "chain filter-input",
        [
            "type filter hook input priority filter; policy accept",
            *localnet,
            *new,
            "jump new-outside",
            f"{node_port} @refuse-node-ports fib daddr type local {reject}",
            f"{node_port} @drop-node-ports fib daddr type local drop",
        ],
    )
    # A packet that conntrack does not know would leave with the endpoint's address and reset the connection.
    invalid = [] if settings.conntrack_tcp_be_liberal else ["ct state invalid drop"]
    # SCTP cannot be offloaded. A rule of its own, so that a node can do without.
    established = "ct status dnat ct state established meta l4proto { tcp, udp }"
    offload = [f"{established} flow add @{layout.FLOWTABLE}"] if settings.flowtable else []
    forward = "type filter hook forward priority filter; policy accept"
    yield "chain filter-forward", [forward, *offload, *invalid, *new, "jump new-inside", "jump new-outside"]
    yield (
        "chain filter-output",
        ["type filter hook output priority filter; policy accept", *localnet, *new, "jump new-inside"],
    )


def _untracked(settings: Settings) -> Iterator[tuple[str, list[str]]]:
    """Health checks by TCP and their answers pass by conntrack (module notrack).

    An answer has a connection of this node that it belongs to, and begins none.
    """
    if settings.health and settings.health_notrack:
        ports, answers = f"{notrack.FIRST}-{notrack.LAST}", "tcp flags & (fin | syn | rst | ack) != syn"
        first = "type filter hook {} priority raw; policy accept"
        yield "chain checks", [first.format("output"), f"tcp sport {ports} notrack"]
        to_us = f"tcp dport {ports} {answers} socket wildcard 0 notrack"
        yield "chain check-answers", [first.format("prerouting"), to_us]


def _postrouting(family: str, settings: Settings, guard: Guard) -> list[str]:
    ip, mark = FAMILIES[family], _mark(settings)
    loopback = f"ct status dnat {ip} saddr {addresses.LOOPBACK[family]} masquerade fully-random"
    return [
        "type nat hook postrouting priority srcnat; policy accept",
        f"ct status dnat meta priority & {TAG:#x} == {TAG:#x} meta priority set 0",
        f"meta mark & {mark:#x} == {mark:#x} meta mark set meta mark & {0xFFFFFFFF ^ mark:#x} masquerade fully-random",
        f"ct status dnat {ip} saddr . {ip} daddr @hairpin masquerade fully-random",
        *([loopback] if guard.host_ports else []),
    ]


def _mark(settings: Settings) -> int:
    return 1 << settings.masquerade_bit


def way_chain(way: Way, family: str) -> Iterator[str]:
    """The chain of a way. In it the register has list and number of the Service."""
    yield from _block(f"chain {way.chain}", _sticky(way, family) if way.seconds else _plain(way, family))


def _plain(way: Way, family: str) -> Iterator[str]:
    ip = FAMILIES[family]
    yield f"meta priority set meta priority & {LIST_MASK:#x}"
    for protocol in PROTOCOLS:
        to_slot = f"meta l4proto {protocol} dnat {ip} to meta priority . {{}} map @slots-{protocol}"
        yield to_slot.format(way.slot(family))
        if way.slots > 1:
            yield to_slot.format(_FIRST_SLOT)


def _sticky(way: Way, family: str) -> Iterator[str]:
    """Affinity is remembered by the endpoint's number: one that is gone is not found, and forgotten."""
    ip = FAMILIES[family]
    client = f"{ip} saddr"
    if family == addresses.IPV6:
        client = "jhash ip6 saddr mod 4294967295 seed 0x1 . jhash ip6 saddr mod 4294967295 seed 0x2"
    key = f"{client} . meta priority & {SERVICE_MASK:#x}"
    keep = f"update @affinity {{ {key} timeout {way.seconds}s : meta priority }}"
    to_endpoint = f"{_ANY_PROTOCOL} dnat {ip} to meta priority map @{'sticky-local' if way.local else 'sticky'}"
    the_list = _LOCAL_LIST if way.local else _SERVICE
    yield _SERVICE
    yield f"meta priority set {client} . meta priority map @affinity"
    yield f"meta priority & {(1 << layout.NUMBER_BITS) - 1:#x} != 0 {keep}"
    yield to_endpoint
    yield f"delete @affinity {{ {key} : meta priority }}"
    yield the_list
    yield f"meta priority set meta priority . {way.slot(family)} map @sticky-slots"
    yield keep
    yield to_endpoint
    if way.slots > 1:
        yield the_list
        yield f"meta priority set meta priority . {_FIRST_SLOT} map @sticky-slots"
        yield to_endpoint
