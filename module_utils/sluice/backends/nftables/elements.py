"""Elements of sets and maps as the kernel has them, in bytes, and their lines in ``nftables.nft``.

A field fills a multiple of four bytes. Ports are in the order of the network, numbers of nft's own types in that of the
machine; but in a set with ranges they are in that of the network, too, where they can be compared byte by byte: nft
turns what a packet has there (``hton`` in what ``nft --debug=netlink`` shows of a rule).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ... import addresses
from ..interface import Entry
from .layout import (
    ADDRESS,
    ENDPOINT_MASK,
    INDEX,
    NETWORK,
    NUMBER_BITS,
    NUMBERED_ENDPOINTS,
    PORT,
    PROTOCOL,
    REGISTER,
    SHAPES,
    TAG,
    VERDICT,
    class_id,
    of_class_id,
    register,
)
from .text import TextError


class Element(NamedTuple):
    """What a key leads to in a map (of a verdict, the chain's name; in a set nothing), and its comment."""

    data: bytes = b""
    comment: str = ""


Elements = dict[str, dict[bytes, Element]]
"""Elements by set and key. A key that is a range is its first and its last value, one behind the other."""

_NOTHING = Element()
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_PROTOCOL_NAMES = {number: name for name, number in _PROTOCOLS.items()}
_NUMBER = struct.Struct("=I")
_NUMBER_AMONG_RANGES = struct.Struct(">I")
_PORT = struct.Struct(">Hxx")
_VERSIONS = {addresses.IPV4: socket.AF_INET, addresses.IPV6: socket.AF_INET6}
_ADDRESS_BYTES = {addresses.IPV4: 4, addresses.IPV6: 16}


class _Packed(dict[str, bytes]):
    """The bytes of a field's texts. Each is packed once: many are there often."""

    def __init__(self, pack: Callable[[str], bytes]) -> None:
        super().__init__()
        self._pack = pack

    def __missing__(self, text: str) -> bytes:
        value = self[text] = self._pack(text)
        return value


def parse(texts: Mapping[str, str], family: str) -> Elements:
    """The elements in lines of ``nftables.nft``, by set. Raises TextError."""
    version = _VERSIONS[family]
    packed = {
        ADDRESS: _Packed(lambda text: socket.inet_pton(version, text)),
        PROTOCOL: _Packed(lambda text: bytes((_PROTOCOLS[text], 0, 0, 0))),
        PORT: _Packed(lambda text: _PORT.pack(int(text))),
        REGISTER: _Packed(lambda text: _NUMBER.pack(of_class_id(text))),
        INDEX: _Packed(lambda text: _NUMBER.pack(int(text))),
        VERDICT: _Packed(str.encode),
    }
    found: Elements = {}
    for name, text in texts.items():
        reading = _ranges if NETWORK in SHAPES[name].key else _elements
        try:
            found[name] = dict(reading(name, text, packed))
        except (ValueError, LookupError, OSError, struct.error) as error:
            raise TextError(f"{name}: {error}") from None
    return found


def _elements(name: str, text: str, packed: Mapping[int, _Packed]) -> Iterator[tuple[bytes, Element]]:
    """``KEY . KEY comment "NAME" : DATA . DATA``, behind a tab and before a comma."""
    shape = SHAPES[name]
    key = [(packed[field], 2 * at) for at, field in enumerate(shape.key)]
    begin = 2 * len(key) + (2 if shape.named else 0)
    about = begin - 2
    verdict = VERDICT in shape.data
    data = [(packed[field], begin + 2 * at + verdict) for at, field in enumerate(shape.data)]
    length = begin - 1 + 2 * len(data) + verdict
    for line in text.splitlines():
        words = line[1:-1].split(" ")
        if len(words) != length:
            raise ValueError(f"not an element: {line.strip()}")
        yield (
            b"".join([field[words[at]] for field, at in key]),
            Element(
                b"".join([field[words[at]] for field, at in data]),
                words[about][1:-1] if shape.named else "",
            ),
        )


def _ranges(_name: str, text: str, _packed: Mapping[int, _Packed]) -> Iterator[tuple[bytes, Element]]:
    """``REGISTER . NETWORK``."""
    for line in text.splitlines():
        number, dot, network = line[1:-1].partition(" . ")
        if not dot:
            raise ValueError(f"not an element: {line.strip()}")
        found = ipaddress.ip_network(network)
        head = _NUMBER_AMONG_RANGES.pack(of_class_id(number))
        yield head + found.network_address.packed + head + found.broadcast_address.packed, _NOTHING


def lines(name: str, elements: Mapping[bytes, Element], family: str) -> Iterator[str]:
    """The lines of a set's elements, without tab and comma."""
    shape = SHAPES[name]
    for key, element in elements.items():
        about = f' comment "{element.comment}"' if shape.named else ""
        data = f" : {_text(element.data, shape.data, family)}" if shape.data else ""
        yield _text(key, shape.key, family) + about + data


def _text(data: bytes, fields: Sequence[int], family: str) -> str:
    words = []
    at = 0
    width = _ADDRESS_BYTES[family]
    form = _form_of_numbers(fields)
    for field in fields:
        size = width if field in (ADDRESS, NETWORK) else 4
        value = data[at : at + size]
        at += size
        if field == ADDRESS:
            words.append(socket.inet_ntop(_VERSIONS[family], value))
        elif field == NETWORK:
            words.append(_network(value, data[-width:]))
        elif field == PROTOCOL:
            words.append(_PROTOCOL_NAMES.get(value[0], str(value[0])))
        elif field == PORT:
            words.append(str(_PORT.unpack(value)[0]))
        elif field == VERDICT:
            words.append(f"goto {data.decode()}")
        else:
            number = form.unpack(value)[0]
            words.append(class_id(number) if field == REGISTER else str(number))
    return " . ".join(words)


def entry(name: str, key: bytes, family: str) -> Entry:
    """Where the packets come in that an element of the map ``name`` is for."""
    *address, protocol, port = _text(key, SHAPES[name].key, family).split(" . ")
    return Entry("".join(address), protocol, int(port))


def _form_of_numbers(fields: Sequence[int]) -> struct.Struct:
    """The form of numbers beside these fields."""
    return _NUMBER_AMONG_RANGES if NETWORK in fields else _NUMBER


def _network(first: bytes, last: bytes) -> str:
    low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    (network,) = ipaddress.summarize_address_range(low, high) if low != high else (low,)
    return str(network)


def key_size(name: str, family: str) -> int:
    """The bytes of a set's key; of one end, where keys are ranges."""
    return _size(SHAPES[name].key, family)


def data_size(name: str, family: str) -> int:
    """The bytes of a map's data; 0 of a set."""
    return _size(SHAPES[name].data, family)


def _size(fields: Sequence[int], family: str) -> int:
    return sum(_ADDRESS_BYTES[family] if field in (ADDRESS, NETWORK) else 4 for field in fields)


class Lines(Sequence[str]):
    """The lines of a set's elements, written when somebody reads them: there may be hundreds of thousands."""

    def __init__(self, name: str, entries: Mapping[bytes, Element], family: str) -> None:
        self._of = (name, entries, family)

    def __len__(self) -> int:
        return len(self._of[1])

    def __iter__(self) -> Iterator[str]:
        return lines(*self._of)

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lines) and self._of == other._of

    def __hash__(self) -> int:
        return hash((self._of[0], len(self), self._of[2]))


def client_line(key: bytes, data: bytes, timeout: int, left: int, family: str) -> str:
    """What the kernel remembers of a client, as a line of the map ``affinity``. Times are in ms."""
    client = [ADDRESS] if family == addresses.IPV4 else [INDEX, INDEX]
    who, endpoint = _text(key, (*client, REGISTER), family), _text(data, (REGISTER,), family)
    return f"{who} timeout {timeout}ms expires {left}ms : {endpoint}"


def service_of(data: bytes) -> int:
    """The number of the service port in a register's bytes."""
    return (int(_NUMBER.unpack_from(data)[0]) & ~TAG) >> NUMBER_BITS


def endpoint_of(data: bytes) -> int:
    """The number of the endpoint in a register's bytes."""
    return int(_NUMBER.unpack_from(data)[0]) & ENDPOINT_MASK


class Renumbering(NamedTuple):
    """The numbers of the kernel for those of the files, where they are not the same.

    ``services``: by number. ``endpoints``: by the number of the Service, in the files, and the endpoint's.
    """

    services: Mapping[int, int] = {}
    endpoints: Mapping[tuple[int, int], int] = {}

    def __bool__(self) -> bool:
        return bool(self.services or self.endpoints)


NOT_RENUMBERED = Renumbering()


def renumbered(found: Elements, numbers: Renumbering) -> Elements:
    """``found`` with the kernel's numbers."""
    if not numbers:
        return found
    return {name: dict(_renumbered(name, entries, numbers)) for name, entries in found.items()}


def _renumbered(name: str, entries: Mapping[bytes, Element], numbers: Renumbering) -> Iterator[tuple[bytes, Element]]:
    shape = SHAPES[name]
    in_key = REGISTER in shape.key and VERDICT not in shape.data
    in_data = REGISTER in shape.data
    ids = NUMBERED_ENDPOINTS.get(name)
    form = _form_of_numbers(shape.key)  # no map has ranges: its data are of the same form

    def changed(data: bytes, endpoint: bool) -> bytes:
        value = form.unpack_from(data)[0]
        service, low = (value & ~TAG) >> NUMBER_BITS, value & ENDPOINT_MASK
        if endpoint:
            low = numbers.endpoints.get((service, low), low)
        return form.pack(register(numbers.services.get(service, service), low)) + data[4:]

    for key, element in entries.items():
        if in_key:
            key = changed(key, ids == "key")
            if NETWORK in shape.key:
                half = len(key) // 2
                key = key[:half] + changed(key[half:], False)
        if in_data:
            element = element._replace(data=changed(element.data, ids == "data"))
        yield key, element
