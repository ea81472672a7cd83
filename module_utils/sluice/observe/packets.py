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

THE_NODE = "the node"
"""Where a packet is sent that goes to the node itself, at an address of which no dump tells which one it is."""

UNTOLD = {addresses.IPV4: "?", addresses.IPV6: "?:"}
"""The destination of such a packet, by address family."""

NEW, UNTRACKED, INVALID = "NEW", "UNTRACKED", "INVALID"
"""What conntrack says of a first packet: it follows the connection; it was told not to; it has not seen it yet."""

_LOOPBACK = {addresses.IPV4: "127.0.0.1", addresses.IPV6: "::1"}
_LINK_LOCAL = "fe80:"


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
        if address in self.addresses or address in UNTOLD.values():
            return True
        return addresses.address(address) != "" and addresses.is_loopback(address)

    def only(self, family: str) -> str:
        """The address of a family, besides loopback and those that hold on one link; empty if there are more or none.

        An interface may have any of several.
        """
        of_family = {each for each in self.addresses if addresses.family_of(each) == family}
        some = [each for each in of_family if not addresses.is_loopback(each) and not each.startswith(_LINK_LOCAL)]
        return some[0] if len(some) == 1 else ""


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
    connection: frozenset[str] = frozenset({NEW})
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

    def untracked(self) -> State:
        """As conntrack will not follow it. One that it has seen already (in OUTPUT, as well) it goes on to follow."""
        return self._replace(connection=frozenset({UNTRACKED})) if INVALID in self.connection else self

    def redirected(self, port: int) -> State:
        """Sent to the node itself: what the node sends, to loopback; what comes in, to an address of the interface
        by which it came (nf_nat_redirect.c)."""
        family = self.packet.family
        address = _LOOPBACK[family] if self.node.has(self.packet.source) else self.node.only(family)
        if address:
            return self.sent_to(address, port, "DNAT")
        return self.sent_to(UNTOLD[family], port, "DNAT")._replace(endpoint=addresses.host_port(THE_NODE, port))

    def sent_to(self, address: str, port: int, *words: str) -> State:
        """Sent on to an endpoint; ``words`` are conntrack's for that."""
        return self._replace(
            packet=self.packet._replace(destination=address, port=port),
            connection=self.connection.union(words),
            endpoint=addresses.host_port(address, port),
        )
