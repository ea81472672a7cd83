"""What IPVS has counted, of virtual servers and of their real servers; pure."""

from __future__ import annotations

from collections.abc import Iterable

from ... import addresses
from ..interface import NO_COUNT, Count, Counters, Entry

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_ARROW = "->"


def counters(lines: Iterable[str]) -> Counters:
    """Those in what ``ipvsadm -L -n --stats --exact`` prints.

    Columns: connections, packets in and out, bytes in and out; IPVS sees all packets of a connection, both ways.
    """
    entries: dict[Entry, Count] = {}
    endpoints: dict[tuple[Entry, str], Count] = {}
    entry: Entry | None = None
    for line in lines:
        words = line.split()
        if words[:1] == [_ARROW] and entry and words[2:3] and words[2].isdigit():
            where = entry, words[1]
            endpoints[where] = endpoints.get(where, NO_COUNT).plus(_count(words[2:7]))
        elif words and words[0] != _ARROW:
            entry = None  # a virtual server by a mark has no address
            if words[0] in _PROTOCOLS:
                address, port = addresses.split_port(words[1])
                entry = Entry(address, words[0].lower(), port)
                entries[entry] = _count(words[2:7])
    return Counters(entries, endpoints, whole=True)


def _count(columns: Iterable[str]) -> Count:
    connections, packets_in, packets_out, bytes_in, bytes_out = map(int, columns)
    return Count(connections, packets_in, bytes_in, packets_out, bytes_out)
