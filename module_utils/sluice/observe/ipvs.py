"""What IPVS decides of a packet's way: which IP set it is in, which virtual server takes it, and who gets it then."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from ..backends.ipvs.ipset_text import IpSet
from ..backends.ipvs.text import VirtualAddress, VirtualServer
from .iptables_matches import Members
from .packets import ELSEWHERE, UNTOLD, Packet, within

_UNWEIGHTED = ("rr", "lc", "dh", "lblc", "lblcr")
"""Schedulers by which a real server's weight, but 0, says nothing of its share."""

_HEAVIEST = ("fo", "ovf")
"""Those by which the others get something only when the one of the greatest weight has enough."""

_REFUSING = {"sh": "sh-fallback", "dh": ""}
"""Those that refuse a client whose real server has weight 0, which has a turn as if it had 1; but with this flag."""


def members(found: IpSet) -> Members:
    """Whether a packet is in a set (ipset(8)).

    Asked for what no dump tells, it raises ValueError: the client's port, interfaces, MAC addresses, sets of sets.
    """
    kind, *options = found.header.split(" ")
    fields = kind.partition(":")[2].split(",")
    wide = [field == "net" for field in fields]
    if not any(wide):
        exact_ones = frozenset(found.members)
        mask = _mask(options)
        return lambda packet, directions: ",".join(_values(kind, fields, packet, directions, mask)) in exact_ones
    networks: dict[tuple[str, ...], list[tuple[tuple[str, ...], bool]]] = {}
    for member in found.members:
        exact, nets = _parted(member.split(","), wide)
        networks.setdefault(exact, []).append((nets, member not in found.nomatch))
    if found.nomatch:
        for several in networks.values():
            several.sort(key=lambda each: [-_length(net) for net in each[0]])

    def inside(packet: Packet, directions: str) -> bool:
        """The smallest network that has it decides: of two in a member, that of the first one (ip_set_hash_gen.h)."""
        exact, own = _parted(_values(kind, fields, packet, directions), wide)
        return next((matches for nets, matches in networks.get(exact, ()) if all(map(within, own, nets))), False)

    return inside


def _length(net: str) -> int:
    """How long the prefix of a network is; of a whole address it is longer than any."""
    _address, slash, length = net.partition("/")
    return int(length) if slash and length.isdecimal() else 129


def _mask(options: Sequence[str]) -> str:
    """What is looked at of addresses, as a length or as an address; empty: all."""
    given = dict(zip(options, options[1:]))
    return given.get("netmask") or given.get("bitmask") or ""


def _masked(address: str, mask: str) -> str:
    """Raises ValueError."""
    if not mask or address == ELSEWHERE:
        return address
    if mask.isdecimal():
        return str(ipaddress.ip_network(f"{address}/{mask}", strict=False).network_address)
    own = ipaddress.ip_address(address)
    return str(type(own)(int(own) & int(ipaddress.ip_address(mask))))


def _parted(values: Sequence[str], wide: Sequence[bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that have to be the same, and those for which a network will do."""
    parted = list(zip(values, wide))
    return tuple(each for each, is_wide in parted if not is_wide), tuple(each for each, is_wide in parted if is_wide)


def _values(kind: str, fields: Sequence[str], packet: Packet, directions: str, mask: str = "") -> list[str]:
    """What a packet has of each field of a set. Raises ValueError."""
    if packet.destination in UNTOLD.values() and "dst" in directions:
        raise ValueError("no dump tells the node's address")
    ends = {"dst": packet.destination, "src": packet.source}
    asked = directions.split(",")
    if len(asked) < len(fields):
        raise ValueError(f"{directions} are too few for {kind}")
    values = []
    for field, direction in zip(fields, asked):
        if field in ("ip", "net") and direction in ends:
            values.append(_masked(ends[direction], mask))
        elif (field, direction) == ("port", "dst"):
            values.append(str(packet.port) if kind.startswith("bitmap") else f"{packet.protocol}:{packet.port}")
        else:
            raise ValueError(f"no dump tells {direction} of {kind}")
    return values


def taken_by(servers: Mapping[VirtualAddress, VirtualServer], packet: Packet) -> VirtualAddress | None:
    """The virtual server that takes a packet, if there is one."""
    key = VirtualAddress(packet.protocol, packet.destination, packet.port)
    return key if key in servers else None


def shares(server: VirtualServer) -> Iterator[tuple[str, Fraction]]:
    """The real servers that get new connections, and of how many clients each in the long run.

    Who is left is refused.
    """
    weights = {name: real.weight for name, real in server.real.items() if real.weight > 0}
    if server.scheduler in _HEAVIEST and weights:
        weights = {name: weight for name, weight in weights.items() if weight == max(weights.values())}
    if server.scheduler in _UNWEIGHTED:
        weights = dict.fromkeys(weights, 1)
    total = sum(weights.values())
    if server.scheduler in _REFUSING and _REFUSING[server.scheduler] not in server.flags:
        total += len(server.real) - len(weights)
    for name, weight in weights.items():
        yield name, Fraction(weight, total)
