"""UDP flows that the kernel tracks, by ctnetlink (linux/netfilter/nfnetlink_conntrack.h)."""

from __future__ import annotations

import errno
import functools
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from .. import addresses
from . import netlink
from .tools import NodeError

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_ORIGINAL, _REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25
_IP, _PROTOCOL = 1, 2
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_ONLY_NUMBER = netlink.attribute(1, struct.pack("=I", 1 << 3))
"""What is compared of a filter: the number of the protocol in the original direction."""

_UDP = socket.IPPROTO_UDP
_BATCH = 100
"""Flows that are deleted by one call: the refusals of as many have room in a socket."""


class Flow(NamedTuple):
    """One UDP flow: what was sent to, who answers, and the kernel's own words for it."""

    destination: str
    port: int
    reply_source: str
    reply_port: int
    words: bytes = b""


def udp_flows(family: str) -> list[Flow]:
    """All UDP flows of ``family`` in this network namespace. Raises NodeError."""
    # Other protocols may have a hundred times as many. A kernel before 5.8 does not know the filter, and tells all.
    udp = netlink.nested(_ORIGINAL, netlink.nested(_PROTOCOL, netlink.attribute(_NUMBER, bytes([_UDP]))))
    try:
        with netlink.connected(netlink.NETFILTER) as link:
            request = udp + netlink.nested(_FILTER, _ONLY_NUMBER)
            return list(parse(netlink.ask(link, _GET, _second(family), request, dump=True), family))
    except OSError as error:
        raise _fault(error) from None


def delete(flows: Collection[Flow], family: str) -> int:
    """Delete flows of ``family``, those that were read and no others like them. Returns how many there still were.

    Raises NodeError.
    """
    names = [_name(flow.words) for flow in flows]
    gone = 0
    try:
        with netlink.connected(netlink.NETFILTER) as link:
            for begin in range(0, len(names), _BATCH):
                refused = netlink.send(link, _DELETE, _second(family), names[begin : begin + _BATCH])
                for code in refused:
                    if code != errno.ENOENT:
                        raise OSError(code, os.strerror(code))
                gone += len(refused)
    except OSError as error:
        raise _fault(error) from None
    return len(names) - gone


def parse(answers: Iterable[bytes], family: str) -> Iterator[Flow]:
    """The UDP flows among the kernel's answers, each of which is the attributes of one flow.

    Tens of thousands of flows come in one or two forms. A form is read at once, after it was seen that this gives what
    reading attribute by attribute gives.
    """
    number, form = _NUMBERS[family], _FORMS[family]
    known: set[tuple[bytes, ...]] = set()
    for words in answers:
        read = form.unpack_from(words) if len(words) >= form.size else ()
        original, reply = read[1:10:2], read[11:20:2]
        if read[0::2] not in known:
            found = dict(netlink.attributes(words))
            slowly = _tuple(found.get(_ORIGINAL, b"")), _tuple(found.get(_REPLY, b""))
            if (original, reply) == slowly:
                known.add(read[0::2])
            original, reply = slowly
        _source, destination, protocol, _source_port, port = original
        answerer, _to, _protocol, reply_port, _to_port = reply
        if protocol == _UDP:
            yield Flow(_text(number, destination), port, _text(number, answerer), reply_port, words)


def _tuple(words: bytes) -> tuple[bytes, bytes, int, int, int]:
    """Source, destination, protocol, source port and destination port of one direction; 0 where it has no ports."""
    parts = dict(netlink.attributes(words))
    ends = [value for _kind, value in netlink.attributes(parts.get(_IP, b""))]
    found = {kind: int.from_bytes(value, "big") for kind, value in netlink.attributes(parts.get(_PROTOCOL, b""))}
    source, destination = ends if len(ends) == 2 else (b"", b"")
    return source, destination, found.get(_NUMBER, 0), found.get(_SOURCE_PORT, 0), found.get(_DESTINATION_PORT, 0)


def _form(length: int) -> struct.Struct:
    """Both directions as the kernel writes them: in turns the heads of attributes, and what stands in them."""
    one = f"12s{length}s4s{length}s8sB3x4sH2x4sH2x"
    return struct.Struct(f">{one}{one}")


_NUMBERS = {addresses.IPV4: socket.AF_INET, addresses.IPV6: socket.AF_INET6}
_FORMS = {addresses.IPV4: _form(4), addresses.IPV6: _form(16)}


@functools.lru_cache(maxsize=4096)
def _text(family: int, address: bytes) -> str:
    return socket.inet_ntop(family, address)


def _name(words: bytes) -> bytes:
    """What names the flow of these words: where it comes from and goes to, its zone, and the kernel's number for it."""
    named = ((kind, value) for kind, value in netlink.attributes(words) if kind in (_ORIGINAL, _ZONE, _ID))
    return b"".join(
        netlink.nested(kind, value) if kind == _ORIGINAL else netlink.attribute(kind, value) for kind, value in named
    )


def _second(family: str) -> bytes:
    """nfnetlink's own header."""
    return struct.pack(">BBH", _NUMBERS[family], 0, 0)


def _fault(error: OSError) -> NodeError:
    return NodeError(
        f"conntrack cannot be asked ({error.strerror or error}): UDP flows to endpoints that are gone cannot be deleted"
    )
