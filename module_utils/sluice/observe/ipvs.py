"""What IPVS decides of a packet's way: which IP set it is in, which virtual server takes it, and who gets it then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from ..backends.ipvs.ipset_text import IpSet
from ..backends.ipvs.text import VirtualAddress, VirtualServer
from .iptables_matches import Members
from .packets import Packet, within

_UNWEIGHTED = ("rr", "lc", "dh", "lblc", "lblcr", "sed", "nq")
"""Schedulers by which a real server's weight, but 0, says nothing of its share where no connection lasts."""


def members(found: IpSet) -> Members:
    """Whether a packet is in a set (ipset(8)).

    Asked for what no dump tells, it raises ValueError: the client's port, interfaces, MAC addresses, sets of sets.
    """
    kind = found.header.partition(" ")[0]
    fields = kind.partition(":")[2].split(",")
    wide = [field == "net" for field in fields]
    if not any(wide):
        exact_ones = frozenset(found.members)
        return lambda packet, directions: ",".join(_values(kind, fields, packet, directions)) in exact_ones
    networks: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for member in found.members:
        exact, nets = _parted(member.split(","), wide)
        networks.setdefault(exact, []).append(nets)

    def inside(packet: Packet, directions: str) -> bool:
        exact, own = _parted(_values(kind, fields, packet, directions), wide)
        return any(all(map(within, own, nets)) for nets in networks.get(exact, ()))

    return inside


def _parted(values: Sequence[str], wide: Sequence[bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that have to be the same, and those for which a network will do."""
    parted = list(zip(values, wide))
    return tuple(each for each, is_wide in parted if not is_wide), tuple(each for each, is_wide in parted if is_wide)


def _values(kind: str, fields: Sequence[str], packet: Packet, directions: str) -> list[str]:
    """What a packet has of each field of a set. Raises ValueError."""
    ends = {"dst": packet.destination, "src": packet.source}
    asked = directions.split(",")
    if len(asked) < len(fields):
        raise ValueError(f"{directions} are too few for {kind}")
    values = []
    for field, direction in zip(fields, asked):
        if field in ("ip", "net") and direction in ends:
            values.append(ends[direction])
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
    """The real servers that get new connections, and of how many clients each in the long run."""
    weights = {name: real.weight for name, real in server.real.items() if real.weight > 0}
    if server.scheduler in _UNWEIGHTED:
        weights = dict.fromkeys(weights, 1)
    total = sum(weights.values())
    for name, weight in weights.items():
        yield name, Fraction(weight, total)
