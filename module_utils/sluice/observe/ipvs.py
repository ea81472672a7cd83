"""What IPVS decides of a packet's way: which IP set it is in, which virtual server takes it, and who gets it then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from ..backends.ipvs.ipset_text import IpSet
from ..backends.ipvs.text import VirtualAddress, VirtualServer
from .iptables_matches import Members
from .packets import Packet, within

_UNWEIGHTED = ("rr", "lc", "dh", "lblc", "lblcr", "sed", "nq")
"""Schedulers by which a real server's weight, but 0, says nothing of its share where no connection lasts."""


def members(found: IpSet) -> Members:
    """Whether a packet is in a set (ipset(8)). What the set would ask of the client's port is never known."""
    kind = found.header.partition(" ")[0]
    if not kind.endswith("net"):
        exact = frozenset(found.members)
        return lambda packet, directions: _member(kind, packet, directions) in exact
    networks: dict[str, list[str]] = {}
    for member in found.members:
        head, _comma, network = member.rpartition(",")
        networks.setdefault(head, []).append(network)

    def inside(packet: Packet, directions: str) -> bool:
        head, _comma, address = _member(kind, packet, directions).rpartition(",")
        return any(within(address, network) for network in networks.get(head, ()))

    return inside


def _member(kind: str, packet: Packet, directions: str) -> str:
    parts = []
    for field, direction in zip(kind.partition(":")[2].split(","), directions.split(",")):
        if field == "port":
            number = str(packet.port) if direction == "dst" else "?"
            parts.append(number if kind.startswith("bitmap") else f"{packet.protocol}:{number}")
        else:
            parts.append(packet.destination if direction == "dst" else packet.source)
    return ",".join(parts)


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
