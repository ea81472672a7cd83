"""A packet on its way through a node, and what of the node its rules do not say."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Collection
from typing import NamedTuple

from .. import addresses

ELSEWHERE = ""
"""The source of a packet of which nobody said more: a client outside, at an address that no rule names."""

PROTOCOLS = ("tcp", "udp", "sctp")


class Packet(NamedTuple):
    """The first packet of a connection. Addresses are canonical; ``protocol`` is one of PROTOCOLS."""

    destination: str
    port: int
    protocol: str = "tcp"
    source: str = ELSEWHERE

    @property
    def family(self) -> str:
        return addresses.family_of(self.destination)


class Node(NamedTuple):
    """``addresses``: those of the node, besides loopback."""

    addresses: Collection[str] = ()

    def has(self, address: str) -> bool:
        return address in self.addresses or (addresses.address(address) != "" and addresses.is_loopback(address))


def within(address: str, network: str) -> bool:
    """Whether an address lies in a network, which may be one address. ELSEWHERE lies in that of all addresses alone.

    Raises ValueError where either is none.
    """
    found = _network(network)
    return found.prefixlen == 0 if address == ELSEWHERE else ipaddress.ip_address(address) in found


@functools.lru_cache(maxsize=4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


class State(NamedTuple):
    """A packet under way: as it is now, rewritten or not, and what has been done to it.

    ``priority``: skb->priority, which nftables may use as a register. ``connection``: the words of conntrack for it
    (``NEW``, ``DNAT``). ``virtual``: the virtual server that has sent it on, as protocol, address and port.
    ``endpoint``: where it was sent to, as address and port. ``masqueraded``: whether with the node's address.
    """

    packet: Packet
    node: Node
    mark: int = 0
    priority: int = 0
    connection: frozenset[str] = frozenset({"NEW"})
    virtual: tuple[str, str, int] | None = None
    endpoint: str = ""
    masqueraded: bool = False

    @property
    def is_here(self) -> bool:
        """Whether its destination is the node itself."""
        return self.node.has(self.packet.destination)

    @property
    def is_inside(self) -> bool:
        """Whether it goes from the node to itself, by lo."""
        return self.is_here and self.node.has(self.packet.source)

    def sent_to(self, address: str, port: int, *words: str) -> State:
        """Sent on to an endpoint; ``words`` are conntrack's for that."""
        return self._replace(
            packet=self.packet._replace(destination=address, port=port),
            connection=self.connection.union(words),
            endpoint=addresses.host_port(address, port),
        )
