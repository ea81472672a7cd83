"""Netlink: what the kernel is asked in messages instead of text (netlink(7), linux/netlink.h).

A body is what follows the header ``nlmsghdr`` in a message: the header of the protocol family, then attributes. Numbers
are in the order of the machine's bytes unless a family says otherwise.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Container, Iterator, Sequence

NETFILTER, GENERIC = 12, 16
DUMP = 0x300
"""Flag of a request for all entries of a kind."""

NESTED = 0x8000
"""Flag in an attribute's type: it holds attributes."""

ACK, CREATE = 0x4, 0x400
"""Flags of a request: to be told of its success, and to make what is not there."""

_REQUEST = 0x1
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence, port."""

_CODE = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")

_BUFFER = 1 << 17
_SECONDS = 10
"""The kernel answers at once; nobody waits for ever for one that does not."""

_SOL_NETLINK, _CAP_ACK = 270, 10
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_ROOM = 256 << 20

_BATCH = 64
"""Requests in one datagram. An answer to each, 1 kB of the kernel's memory, fits into a socket's buffer (200 kB)."""


def connect(protocol: int) -> socket.socket:
    """A socket to the part ``protocol`` of the kernel. Raises OSError."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    link.settimeout(_SECONDS)
    return link


_idle: list[socket.socket] = []

# A child has none of its parent's: both would read answers, and the child may be in another network namespace.
os.register_at_fork(after_in_child=_idle.clear)


@contextlib.contextmanager
def netfilter() -> Iterator[socket.socket]:
    """A socket to netfilter, kept for the next one who asks.

    To close one waits until the kernel has freed what a transaction of nf_tables took away: 8 to 15 ms. Raises OSError.
    """
    link = _idle.pop() if _idle else connect(NETFILTER)
    is_sound = False
    try:
        yield link
        is_sound = True
    finally:
        if is_sound:
            _idle.append(link)
        else:
            link.close()  # answers may be left in it


def ask(link: socket.socket, kind: int, body: bytes, flags: int = 0) -> Iterator[bytes]:
    """The bodies of the messages that answer a request: one, or with DUMP any number. Raises OSError."""
    link.send(message(kind, flags, 1, body))
    while True:
        for answer, _sequence, data in _messages(link.recv(_BUFFER)):
            if answer in (_ERROR, _DONE):
                _require(_code(data))
                return
            yield data
        if not flags & DUMP:
            return


def carry_out(link: socket.socket, kind: int, bodies: Sequence[bytes]) -> Iterator[int]:
    """Have the kernel carry out requests that have no answer but success or failure; the errno of each that failed.

    Only the last one of a batch is acknowledged: the kernel takes them in order, and tells of failures in any case.
    Raises OSError.
    """
    for begin in range(0, len(bodies), _BATCH):
        batch = bodies[begin : begin + _BATCH]
        last = len(batch)
        link.send(b"".join(message(kind, ACK if at == last else 0, at, body) for at, body in enumerate(batch, start=1)))
        yield from filter(None, outcomes(link, last))


def outcomes(link: socket.socket, last: int) -> Iterator[int]:
    """The errno (0: success) of each request that the kernel says something of, to the one with the sequence ``last``.

    Raises OSError.
    """
    while True:
        for _kind, sequence, data in _messages(link.recv(_BUFFER)):
            yield _code(data)
            if sequence == last:
                return


def make_room(link: socket.socket) -> None:
    """Have a socket take tens of megabytes at once, and errors without the request that they are about."""
    link.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
    for option in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE):
        link.setsockopt(socket.SOL_SOCKET, option, _ROOM)


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, sequence, 0) + body + bytes(-len(body) % 4)


def nft_generation() -> int:
    """The number that grows with every transaction of nf_tables, of whatever table (linux/netfilter/nf_tables.h).

    0 in a kernel without nf_tables.
    """
    nft_msg_getgen, nfta_gen_id = 0xA10, 1
    header = bytes(4)  # nfgenmsg
    try:
        with netfilter() as link:
            held = dict(attributes(next(ask(link, nft_msg_getgen, header)), len(header)))
    except OSError:
        return 0
    return int.from_bytes(held[nfta_gen_id], "big")


def nft_tables(family: int) -> set[str]:
    """The names of nf_tables' tables of a family (``NFPROTO_…``), iptables-nft's among them. Raises OSError."""
    nft_msg_gettable, nfta_table_name = 0xA01, 1
    return _nft_names(family, nft_msg_gettable, nfta_table_name)


def nft_has_chain(family: int, table: str, chain: str) -> bool:
    """Whether nf_tables has a chain, also one of iptables-nft; not where the kernel does not tell."""
    nft_msg_getchain, nfta_chain_table, nfta_chain_name = 0xA04, 1, 3
    header = struct.pack("=BBH", family, 0, 0)  # nfgenmsg
    names = [
        attribute(kind, f"{name}\0".encode()) for kind, name in ((nfta_chain_table, table), (nfta_chain_name, chain))
    ]
    try:
        with netfilter() as link:
            return bool(list(ask(link, nft_msg_getchain, header + b"".join(names))))
    except OSError:
        return False


def nft_tables_with_sets(family: int) -> set[str]:
    """The names of those tables of a family that have sets or maps, also such as have no name. Raises OSError."""
    nft_msg_getset, nfta_set_table = 0xA0A, 1
    return _nft_names(family, nft_msg_getset, nfta_set_table)


def _nft_names(family: int, message: int, name: int) -> set[str]:
    """An attribute that is a name, of all that a dump of nf_tables has of a family. Raises OSError."""
    header = struct.pack("=BBH", family, 0, 0)  # nfgenmsg
    with netfilter() as link:
        answers = list(ask(link, message, header, DUMP))
    found = (dict(attributes(data, len(header)))[name] for data in answers if data[0] == family)
    return {each.rstrip(b"\0").decode() for each in found}


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded so that another one can follow."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Type, without flags, and value of each attribute in ``data`` from ``at`` on."""
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)


def picked(data: bytes, kinds: Container[int], at: int = 0) -> bytes:
    """The attributes of these types, as they stand in ``data`` from ``at`` on."""
    found = b""
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        end = at + max((length + 3) & ~3, _ATTRIBUTE.size)
        if kind & 0x3FFF in kinds:
            found += data[at:end]
        at = end
    return found


def number(data: bytes) -> int:
    """A number in the order of the machine's bytes."""
    return int.from_bytes(data, sys.byteorder)


def _messages(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, sequence and body of each message."""
    at = 0
    while at + _HEADER.size <= len(datagram):
        length, kind, _flags, sequence, _port = _HEADER.unpack_from(datagram, at)
        yield kind, sequence, datagram[at + _HEADER.size : at + length]
        at += max((length + 3) & ~3, _HEADER.size)


def _code(data: bytes) -> int:
    """The errno that an error, an acknowledgement or the end of a dump begins with; 0 is success."""
    return -int(_CODE.unpack_from(data)[0]) if len(data) >= _CODE.size else 0


def _require(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
