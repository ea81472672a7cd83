"""The flat layout: what the register holds, and which sets and maps a table has.

Three look-ups take a connection to its endpoint, however many Services there are. What one finds is kept for the next
in a register. nft(8) has no variables, so that is ``meta priority`` (skb->priority) of the first packet of a connection
to a Service, the only one that nat chains see; it is given back, as 0, in postrouting. Its 32 bits:

=====  ========================================================================================================
31     always 1, so that no traffic class and no SO_PRIORITY of others is taken for ours
30-12  the number of the service port: all of its addresses and its node port lead to it
11     which of its lists of endpoints: 0 that of traffic policy Cluster, 1 that of policy Local
10-0   what a look-up gives: the kind of an address (KINDS), or how the list is balanced (the code of a way)
11-0   of an endpoint of a Service with session affinity: its number
=====  ========================================================================================================

What belongs to a Service stands in maps to values only. Verdict maps, which the kernel checks as a whole with each
change, have an element per *way* of balancing: one for all Services with three endpoints, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ... import addresses

TABLE = "sluice"
FAMILIES = {addresses.IPV4: "ip", addresses.IPV6: "ip6"}
"""The names of nft for the families; each has a table of its own."""

TAG = 1 << 31
LOCAL = 1 << 11
LOW_BITS = LOCAL - 1
NUMBER_BITS = 12
"""Where the number of a service port begins."""

LIST_MASK = 0xFFFFFFFF ^ LOW_BITS
SERVICE_MASK = LIST_MASK ^ LOCAL

ENDPOINT_MASK = (1 << NUMBER_BITS) - 1

SERVICES = (1, (1 << 19) - 1)
"""The numbers that service ports may have: the first one, and how many."""

ENDPOINTS = (16, (1 << NUMBER_BITS) - 16)
"""The same for endpoints of a Service with session affinity."""

INSIDE, INSIDE_LOCAL, OUTSIDE, OUTSIDE_LOCAL, FENCED_OUTSIDE, FENCED_OUTSIDE_LOCAL = range(1, 7)
KINDS = {
    INSIDE: "inside",
    INSIDE_LOCAL: "inside-local",
    OUTSIDE: "outside",
    OUTSIDE_LOCAL: "outside-local",
    FENCED_OUTSIDE: "fenced-outside",
    FENCED_OUTSIDE_LOCAL: "fenced-outside-local",
}
"""The chain for each kind of address: a ClusterIP, an external one, one with source ranges; by traffic policy."""

PROTOCOLS = ("tcp", "udp", "sctp")

FEW = 1023
"""Slots up to which a list that is balanced by chance has their number as its code."""

CODES = (FEW + 1, LOCAL - FEW - 1)
"""The codes of all other ways: the first one, and how many."""

ADDRESS, PROTOCOL, PORT, REGISTER, INDEX, NETWORK, VERDICT = range(7)
"""What a field of a key or of data holds."""


class Shape(NamedTuple):
    """The fields of a set's keys and, in a map, of its data.

    ``named``: elements have the service port as their comment. ``counted``: each counts its packets.
    """

    key: tuple[int, ...]
    data: tuple[int, ...] = ()
    named: bool = False
    counted: bool = False


_FRONT_END = (ADDRESS, PROTOCOL, PORT)
_NODE_PORT = (PROTOCOL, PORT)
_ENDPOINT = (ADDRESS, PORT)

SHAPES = {
    "addresses": Shape(_FRONT_END, (REGISTER,), named=True, counted=True),
    "node-ports": Shape(_NODE_PORT, (REGISTER,), named=True, counted=True),
    "host-ports": Shape(_NODE_PORT, _ENDPOINT),
    "host-ports-at": Shape(_FRONT_END, _ENDPOINT),
    "lists": Shape((REGISTER,), (REGISTER,), named=True),
    "ways": Shape((REGISTER,), (VERDICT,)),
    "slots-tcp": Shape((REGISTER, INDEX), _ENDPOINT),
    "slots-udp": Shape((REGISTER, INDEX), _ENDPOINT),
    "slots-sctp": Shape((REGISTER, INDEX), _ENDPOINT),
    "sticky-slots": Shape((REGISTER, INDEX), (REGISTER,)),
    "sticky": Shape((REGISTER,), _ENDPOINT),
    "sticky-local": Shape((REGISTER,), _ENDPOINT),
    "hairpin": Shape((ADDRESS, ADDRESS)),
    "ranges": Shape((REGISTER, NETWORK)),
    "refuse-inside": Shape(_FRONT_END, named=True),
    "drop-inside": Shape(_FRONT_END, named=True),
    "refuse-outside": Shape(_FRONT_END, named=True),
    "drop-outside": Shape(_FRONT_END, named=True),
    "fenced": Shape(_FRONT_END, named=True),
    "refuse-node-ports": Shape(_NODE_PORT, named=True),
    "drop-node-ports": Shape(_NODE_PORT, named=True),
    "node-addresses": Shape((ADDRESS,)),
}
"""The sets and maps of a table that hold Services, in the order in which they are written."""

AFFINITY = "affinity"
"""The map that packets fill: which client has which endpoint."""

FLOWTABLE = "short-cut"

MADE_OF = "made-of"
"""The set whose one element says of which text the table's sets and chains were made, and what these were then.

So whoever looks at a table without a record of it can tell whether its chains are those of a file: the kernel gives
rules back in a form of its own.
"""


NUMBERED_ENDPOINTS = {"sticky": "key", "sticky-local": "key", "sticky-slots": "data"}
"""Where the register of an element has an endpoint's number in it."""


def devices(names: Iterable[str]) -> str:
    """The line of a flowtable that names its devices."""
    return "devices = {{ {} }}".format(", ".join(f'"{name}"' for name in names))


def register(number: int, low: int = 0) -> int:
    """The register for a service port's number, with what stands in its low bits."""
    return TAG | number << NUMBER_BITS | low


def class_id(value: int) -> str:
    """A register as nft(8) writes the type classid."""
    return f"{value >> 16:x}:{value & 0xFFFF:x}"


def of_class_id(text: str) -> int:
    """The register that ``class_id`` wrote. Raises ValueError."""
    high, _colon, low = text.partition(":")
    return int(high, 16) << 16 | int(low, 16)
