"""Packets to all places that a recorded case has, and beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from probes import NODE, Probe

from sluice.addresses import IPV4, IPV6

CLIENTS = {IPV4: ("198.18.7.7", "203.0.113.77", "192.0.2.1"), IPV6: ("2001:db8::7",)}
"""The latter two are in the source ranges of the cases."""

POD = {IPV4: "10.244.9.9", IPV6: "fd00:244:9::9"}
NOBODYS = {IPV4: ("10.96.77.77", "203.0.113.250"), IPV6: ("fd00:96::77", "2001:db8:9::9")}
PLACES = 12
"""Of more, some are taken: the large case has hundreds that are alike."""

OTHER = {"tcp": "udp", "udp": "tcp", "sctp": "tcp"}

Place = tuple[str, int, str]
"""Address (empty: the node's), port and protocol."""


def asked(known: Iterable[Place], ends: Iterable[str], family: str) -> Iterator[Probe]:
    """Packets to these places and beside them."""
    askers = [("client", each) for each in CLIENTS[family]]
    askers += [("pods", each) for each in (*ends, POD[family])]
    askers += [("node", each) for each in NODE[family]]
    ways = {(address, 8080, "tcp") for address in NOBODYS[family]} | {(own, 22, "tcp") for own in NODE[family]}
    for address, port, protocol in known:
        for where in [address] if address else NODE[family]:
            ways |= {(where, port, protocol), (where, port, OTHER[protocol]), (where, port + 1, protocol)}
        # What leaves ::1 does leave the node; only its answer is dropped, which conntrack says nothing of.
        if not address and family == IPV4:
            yield Probe("node", "127.0.0.1", protocol, "127.0.0.1", port)
    for address, port, protocol in sorted(ways):
        for host, source in askers:
            yield Probe(host, source, protocol, address, port)
