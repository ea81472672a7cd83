"""What the supervisor and the checker say to each other, over a Unix socket of type SOCK_SEQPACKET.

The supervisor sends lists: ``{"node": NAME, "source": ADDRESSES, "untracked": BOOLEAN, "checks": [[id, address, port,
question], …]}`` as JSON in packets, each with a header: kind, generation of the list, bytes in all, and where in them
this part begins. The checker sends records of 24 bytes, many in a packet: what is known of a check, or that it lives.
It has read what endpoints sent, so nothing that it says is believed before it was looked at.
"""

from __future__ import annotations

import errno
import json
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .. import addresses, notrack
from .check import Check
from .reasons import Reason, State

_PART = struct.Struct("!4sIII")
_MAGIC = b"SLH1"
_PACKET = 32768
"""Bytes of a part: some fit into the least a socket holds (net.core.wmem_default)."""

MOST = 64 << 20
"""Bytes of a list."""

_RECORD = struct.Struct("!BBBxIIIQ")
_RESULT, _HEARTBEAT = 1, 2
_RECORDS = _PACKET // _RECORD.size
_PACKETS_AT_ONCE = 64
"""Packets that are read in one go, so that neither end is kept by the other."""

MOST_MILLISECONDS = 2**32 - 1

_FULL = (errno.EAGAIN, errno.ENOBUFS)
_STATES = {int(state): state for state in State}
_REASONS = {int(reason): reason for reason in Reason}


class Record(NamedTuple):
    """What is known of a check. ``milliseconds``: what the check took from which it is known."""

    id: int
    state: State
    reason: Reason
    milliseconds: int


class Heartbeat(NamedTuple):
    """That the checker lives: checks that it did since it began, those under way, and how late it is.

    ``late``: microseconds by which 99 of 100 checks began late at most, of those since the last heartbeat. ``tracked``:
    endpoints that answer only where conntrack knows that they are asked, though they may be asked without; 255 at most.
    """

    generation: int
    done: int
    flying: int
    late: int
    tracked: int = 0


class List(NamedTuple):
    """A list of checks as it came; ``source`` has the addresses to ask from, with commas, or is empty.

    ``ports``: the source ports that conntrack leaves alone, if they may be used.
    """

    generation: int
    node: str
    source: str
    checks: Sequence[tuple[int, Check]]
    ports: Sequence[int] = ()


class Supervisor:
    """The supervisor's end of a connection that it accepted. Nothing here blocks.

    ``heartbeat`` is the last one; ``dropped`` counts records that could not be, ``stale`` those of an earlier list.
    """

    def __init__(self, link: socket.socket) -> None:
        link.setblocking(False)
        self._link = link
        self._waiting: deque[bytes] = deque()
        self._generation = -1
        self._ids: frozenset[int] = frozenset()
        self.heartbeat: Heartbeat | None = None
        self.dropped = self.stale = 0

    def fileno(self) -> int:
        return self._link.fileno()

    def close(self) -> None:
        self._link.close()

    @property
    def wants_write(self) -> bool:
        """Whether something waits until the checker takes it: call ``flush`` when the socket can be written to."""
        return bool(self._waiting)

    def send(
        self, generation: int, node: str, source: str, checks: Sequence[tuple[int, Check]], *, untracked: bool = False
    ) -> None:
        """Have the checker do these checks, each with an id, instead of those of before.

        ``untracked``: without conntrack, where that works. A list that is not all sent yet is replaced. Raises
        ConnectionError when the checker is gone, ValueError where the list is too long.
        """
        rows = [(number, *check) for number, check in checks]
        told = {"node": node, "source": source, "untracked": untracked, "checks": rows}
        data = json.dumps(told, separators=(",", ":")).encode()
        if len(data) > MOST:
            raise ValueError(f"a list of {len(data)} bytes")
        head = (generation, len(data))
        starts = range(0, len(data), _PACKET)
        self._waiting = deque(_PART.pack(_MAGIC, *head, at) + data[at : at + _PACKET] for at in starts)
        self._generation, self._ids = generation, frozenset(number for number, _check in checks)
        self.flush()

    def flush(self) -> None:
        """Send what the checker takes now. Raises ConnectionError when it is gone."""
        _send(self._link, self._waiting)

    def receive(self) -> list[Record]:
        """What is there now, in the order in which it came; if that is much there may be more, and the socket says so.

        Raises ConnectionError when the checker is gone.
        """
        found: list[Record] = []
        for packet in _packets(self._link):
            whole = len(packet) - len(packet) % _RECORD.size
            self.dropped += whole != len(packet)
            for fields in _RECORD.iter_unpack(packet[:whole]):
                self._take(fields, found)
        return found

    def _take(self, fields: tuple[int, ...], found: list[Record]) -> None:
        kind, state, reason, generation, number, small, large = fields
        if kind == _HEARTBEAT:
            self.heartbeat = Heartbeat(generation, large, number, small, state)
        elif kind != _RESULT or state not in _STATES or reason not in _REASONS or large:
            self.dropped += 1
        elif generation != self._generation:
            self.stale += 1
        elif number not in self._ids:
            self.dropped += 1
        else:
            found.append(Record(number, _STATES[state], _REASONS[reason], small))


class Checker:
    """The checker's end."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._list: tuple[int, int, bytearray] | None = None
        self._waiting: deque[bytes] = deque()

    def fileno(self) -> int:
        return self._link.fileno()

    def close(self) -> None:
        self._link.close()

    @property
    def wants_write(self) -> bool:
        return bool(self._waiting)

    def flush(self) -> None:
        """Send what the supervisor takes now. Raises ConnectionError when it is gone."""
        _send(self._link, self._waiting)

    def post(self, generation: int, records: Iterable[Record]) -> None:
        """Send records of that list, in as many packets as it takes. Raises ConnectionError."""
        lines = [
            _RECORD.pack(_RESULT, record.state, record.reason, generation, record.id, record.milliseconds, 0)
            for record in records
        ]
        self._waiting += [b"".join(lines[at : at + _RECORDS]) for at in range(0, len(lines), _RECORDS)]
        self.flush()

    def beat(self, heartbeat: Heartbeat) -> None:
        """Send a heartbeat. Raises ConnectionError."""
        generation, done, flying, late, tracked = heartbeat
        small = min(late, 2**32 - 1)
        self._waiting.append(_RECORD.pack(_HEARTBEAT, min(tracked, 255), 0, generation, flying, small, done))
        self.flush()

    def receive(self) -> List | None:
        """The last list that came as a whole, None where none did.

        Raises ConnectionError when the supervisor is gone, ValueError where it says what cannot be.
        """
        found = None
        for packet in _packets(self._link):
            found = self._part(packet) or found
        return _list(*found) if found else None

    def _part(self, packet: bytes) -> tuple[int, bytes] | None:
        """Put a part to what came of its list: the list's generation and bytes if that is all."""
        if len(packet) <= _PART.size:
            raise ValueError("a packet without a part")
        magic, generation, size, start = _PART.unpack_from(packet)
        if magic != _MAGIC or size > MOST:
            raise ValueError("not a list of checks")
        if start == 0:
            self._list = generation, size, bytearray()
        if self._list is None or self._list[:2] != (generation, size) or len(self._list[2]) != start:
            raise ValueError("a part of a list that did not begin")
        data = self._list[2]
        data += memoryview(packet)[_PART.size :]
        if len(data) < size:
            return None
        self._list = None
        return generation, bytes(data)


def _list(generation: int, data: bytes) -> List:
    # Thousands of checks have one question: it is kept once.
    shared: dict[str, str] = {}
    try:
        told = json.loads(data)
        checks = [_check(row, shared) for row in told["checks"]]
        ports = range(notrack.FIRST, notrack.LAST + 1) if told["untracked"] is True else ()
        return List(generation, str(told["node"]), str(told["source"]), checks, ports)
    except (KeyError, TypeError, RecursionError):
        raise ValueError("not a list of checks") from None


def _check(row: Any, shared: dict[str, str]) -> tuple[int, Check]:
    number, address, port, question = row
    if not (type(number) is type(port) is int and type(address) is type(question) is str):
        raise ValueError("not a check")
    # What is no address would be looked up as a name, for as long as that takes.
    if not (0 <= number < 2**32 and 0 <= port < 65536 and addresses.address(address) == address):
        raise ValueError("not a check")
    return number, Check(address, port, shared.setdefault(question, question))


def _packets(link: socket.socket) -> Iterable[bytes]:
    for _packet in range(_PACKETS_AT_ONCE):
        try:
            packet = link.recv(_PACKET + _PART.size)
        except BlockingIOError:
            return
        if not packet:
            raise ConnectionResetError(errno.ECONNRESET, "the other end is gone")
        yield packet


def _send(link: socket.socket, waiting: deque[bytes]) -> None:
    while waiting:
        try:
            link.send(waiting[0], socket.MSG_NOSIGNAL)
        except OSError as error:
            if error.errno in _FULL:
                return
            raise
        waiting.popleft()
