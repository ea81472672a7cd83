"""nf_tables by netlink: reads elements, and changes them in one transaction (linux/netfilter/nf_tables.h).

A transaction names the generation of the rule set that it was made for: the kernel refuses it where anybody has changed
anything since. What changes here are elements; chains, which have rules in them, are nft(8)'s.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ... import addresses
from ...system import netlink
from .elements import Element, Elements, client_line, data_size, key_size
from .layout import AFFINITY, MADE_OF, NETWORK, SHAPES, TABLE, VERDICT
from .layout import FAMILIES as IP_NAMES

FAMILIES = {addresses.IPV4: socket.AF_INET, addresses.IPV6: socket.AF_INET6}
_NFPROTO_INET = 1
"""The family of tables that are for both."""

GENERATION_CHANGED = 85
"""ERESTART, which Python does not name."""

_NEW_TABLE, _GET_TABLE, _DELETE_TABLE = 0xA00, 0xA01, 0xA02
_GET_CHAIN, _DELETE_CHAIN = 0xA04, 0xA05
_GET_RULE, _GET_SET = 0xA07, 0xA0A
_NEW_ELEMENTS, _GET_ELEMENTS, _DELETE_ELEMENTS = 0xA0C, 0xA0D, 0xA0E
_GET_FLOWTABLE = 0xA17
_BEGIN, _END = 0x10, 0x11
_NF_TABLES = 10

_TABLE, _NAME = 1, 2  # of a chain, NAME is 3
_GENERATION_ID = 1
_TABLE_NAME = 1
_CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 3, 4, 5, 7
_SET_DESCRIPTION, _SET_SIZE = 9, 1
_FLOWTABLE_HOOK, _HOOK_NUMBER, _HOOK_PRIORITY, _HOOK_DEVICES = 3, 1, 2, 3
_DROP = 0
"""The verdict, and the policy of a chain (linux/netfilter.h)."""
_ELEMENTS = 3
_ELEMENT, _KEY, _DATA, _TIMEOUT, _EXPIRATION, _USERDATA, _EXPRESSION, _KEY_END = 1, 1, 2, 4, 5, 6, 7, 10
_EXPRESSION_DATA, _BYTES, _PACKETS = 2, 1, 2
_VALUE, _VERDICT, _VERDICT_CODE, _VERDICT_CHAIN = 1, 2, 1, 2
_GOTO = struct.pack(">i", -4)
_COMMENT = 0
"""The type of a comment in an element's user data (libnftnl/udata.h)."""

_NOTE = struct.pack(">I", 1)
DIGEST = 32
"""Characters of a digest that are kept: a comment has room for 127."""

_FAMILY = struct.Struct("=BBH")
"""``nfgenmsg``: address family, version, resource."""

_LENGTHS = struct.Struct("=HH")
_MOST = 60000
"""Bytes of elements in a message: an attribute has a length of 16 bits."""

_OF_A_CHAIN = (_CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE)


def table_exists(family: str, name: str = TABLE) -> bool:
    with netlink.netfilter() as link:
        try:
            next(netlink.ask(link, _GET_TABLE, _family(FAMILIES[family]) + _string(_TABLE_NAME, name)))
        except OSError:
            return False
        return True


class Frame(NamedTuple):
    """What of a table is no element: the room of each set, the names of chains, a digest of chains and rules.

    ``made_of``: the digests of the texts of which its sets and its chains were made (``note``); of the latter ``""``
    where they are others now. ``devices``: those of its flowtable.
    """

    sizes: Mapping[str, int]
    chains: Sequence[str]
    digest: str
    made_of: tuple[str, str]
    devices: Sequence[str]


def frame(family: str) -> Frame | None:
    """The frame of our table; None without one. Raises OSError."""
    with netlink.netfilter() as link:
        head = _family(FAMILIES[family]) + _string(_TABLE, TABLE)
        sizes = {}
        try:
            for data in netlink.ask(link, _GET_SET, head, netlink.DUMP):
                held = dict(netlink.attributes(data, _FAMILY.size))
                about = dict(netlink.attributes(held.get(_SET_DESCRIPTION, b"")))
                sizes[_name(held[_NAME])] = int.from_bytes(about.get(_SET_SIZE, b""), "big")
            chains = []
            digest = hashlib.sha256()
            for data in netlink.ask(link, _GET_CHAIN, _family(FAMILIES[family]), netlink.DUMP):
                held = dict(netlink.attributes(data, _FAMILY.size))
                if _name(held[_TABLE]) == TABLE:
                    chains.append(_name(held[_CHAIN_NAME]))
                    # How often a chain is referred to changes with the elements.
                    digest.update(netlink.picked(data, _OF_A_CHAIN, _FAMILY.size))
            for data in netlink.ask(link, _GET_RULE, head, netlink.DUMP):
                digest.update(data[_FAMILY.size :])  # the head has the generation in it
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        if not sizes:
            return None
        now = digest.hexdigest()[:DIGEST]
        notes = list(map(_element, _each(_dumped(family, MADE_OF)))) if MADE_OF in sizes else []
        words = next((element.comment.split() for _key, element in notes), [])
        of_sets, of_chains, then = words if len(words) == 3 else ("", "", "")
        return Frame(sizes, chains, now, (of_sets, of_chains if then == now else ""), offloading(family))


def offloading(family: str) -> list[str]:
    """The devices of our table's flowtable, sorted: one that ends leaves it by itself. Raises OSError."""
    head = _family(FAMILIES[family]) + _string(_TABLE, TABLE)
    found: list[str] = []
    with netlink.netfilter() as link:
        for data in netlink.ask(link, _GET_FLOWTABLE, head, netlink.DUMP):
            hook = dict(netlink.attributes(dict(netlink.attributes(data, _FAMILY.size))[_FLOWTABLE_HOOK]))
            found += [_name(name) for _kind, name in netlink.attributes(hook.get(_HOOK_DEVICES, b""))]
    return sorted(found)


def note(family: str, made_of: Sequence[str], generation: int) -> None:
    """Keep in our table of which texts its sets and its chains are made, by their digests.

    Raises OSError, also where the rule set is not of this ``generation`` any more.
    """
    found = frame(family)
    if found is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    head = _family(FAMILIES[family]) + _string(_TABLE, TABLE) + _string(_NAME, MADE_OF)
    text = Element(comment=" ".join((*made_of, found.digest)))
    old = [_with_comment(key, Element()) for key, _old in map(_element, _each(_dumped(family, MADE_OF)))]
    messages = [(_DELETE_ELEMENTS, 0, head + _nested(_ELEMENTS, b"".join(old)))] if old else []
    new = _nested(_ELEMENTS, _with_comment(_NOTE, text))
    _transact([*messages, (_NEW_ELEMENTS, netlink.CREATE, head + new)], generation)


def _with_comment(key: bytes, element: Element) -> bytes:
    about = _nested(_KEY, netlink.attribute(_VALUE, key))
    return netlink.attribute(_ELEMENT | netlink.NESTED, about + _comment_of(element))


class BaseChain(NamedTuple):
    """A chain that a hook of the kernel calls (``NF_INET_…``). ``drops``: its policy drops what no rule accepts."""

    family: str
    table: str
    name: str
    type: str
    hook: int
    priority: int
    drops: bool


def base_chains(family: str) -> Iterator[BaseChain]:
    """All of them that packets of an address family meet, of whatever table. Raises OSError."""
    names = {_NFPROTO_INET: "inet", FAMILIES[family]: IP_NAMES[family]}
    for number, name in names.items():
        with netlink.netfilter() as link:
            answers = list(netlink.ask(link, _GET_CHAIN, _family(number), netlink.DUMP))
        for data in answers:
            held = dict(netlink.attributes(data, _FAMILY.size))
            if _CHAIN_HOOK in held and data[0] == number:
                hook = dict(netlink.attributes(held[_CHAIN_HOOK]))
                yield BaseChain(
                    name,
                    _name(held[_TABLE]),
                    _name(held[_CHAIN_NAME]),
                    _name(held.get(_CHAIN_TYPE, b"")),
                    int.from_bytes(hook[_HOOK_NUMBER], "big"),
                    int.from_bytes(hook[_HOOK_PRIORITY], "big", signed=True),
                    int.from_bytes(held.get(_CHAIN_POLICY, b"\1"), "big") == _DROP,
                )


def read(family: str) -> Elements:
    """All elements of our table, without those that packets make. Raises OSError and ValueError."""
    return {name: dict(_read(name, _dumped(family, name), family)) for name in SHAPES}


def remembered(family: str) -> Iterator[str]:
    """The lines of the map AFFINITY: a dump of hundreds of thousands takes seconds. Raises OSError."""
    for data in _each(_dumped(family, AFFINITY)):
        held = dict(netlink.attributes(data))
        key, element = _element(data)
        timeout, left = (int.from_bytes(held[each], "big") for each in (_TIMEOUT, _EXPIRATION))
        if left:
            yield client_line(key, element.data, timeout, left, family)


def counted(family: str) -> Iterator[tuple[str, bytes, int, int]]:
    """Map, key, packets and bytes of the elements that count. Raises OSError."""
    for name, shape in SHAPES.items():
        for data in _each(_dumped(family, name)) if shape.counted else ():
            expression = dict(netlink.attributes(dict(netlink.attributes(data))[_EXPRESSION]))
            counter = dict(netlink.attributes(expression[_EXPRESSION_DATA]))
            packets, size = (int.from_bytes(counter[each], "big") for each in (_PACKETS, _BYTES))
            yield name, _element(data)[0], packets, size


def keys(family: str, table: str, name: str) -> Iterator[bytes]:
    """The keys of a set or map of any table, as they lie in the kernel. Raises OSError, also where there is none."""
    for data in _each(_dumped(family, name, table)):
        yield dict(netlink.attributes(dict(netlink.attributes(data))[_KEY]))[_VALUE]


def _dumped(family: str, name: str, table: str = TABLE) -> list[bytes]:
    """What answers who asks for the elements of a set."""
    head = _family(FAMILIES[family]) + _string(_TABLE, table) + _string(_NAME, name)
    with netlink.netfilter() as link:
        netlink.make_room(link)
        return list(netlink.ask(link, _GET_ELEMENTS, head, netlink.DUMP))


def _each(answers: Iterable[bytes]) -> Iterator[bytes]:
    """The elements in the answers of a dump."""
    for answer in answers:
        for _kind, data in netlink.attributes(dict(netlink.attributes(answer, _FAMILY.size)).get(_ELEMENTS, b"")):
            yield data


def _read(name: str, answers: Iterable[bytes], family: str) -> Iterator[tuple[bytes, Element]]:
    for data in answers:
        yield from _read_list(name, dict(netlink.attributes(data, _FAMILY.size)).get(_ELEMENTS, b""), family)


def _read_list(name: str, data: bytes, family: str) -> Iterable[tuple[bytes, Element]]:
    pairs = _Form(name, family).read(data)
    return pairs if pairs is not None else map(_element, (value for _kind, value in netlink.attributes(data)))


def _element(data: bytes) -> tuple[bytes, Element]:
    """One element of whatever form."""
    held = dict(netlink.attributes(data))
    key = dict(netlink.attributes(held[_KEY]))[_VALUE]
    if _KEY_END in held:
        key += dict(netlink.attributes(held[_KEY_END]))[_VALUE]
    about = dict(netlink.attributes(held.get(_DATA, b"")))
    value = about.get(_VALUE, b"")
    if _VERDICT in about:
        value = dict(netlink.attributes(about[_VERDICT]))[_VERDICT_CHAIN].rstrip(b"\0")
    return key, Element(value, _comment(held.get(_USERDATA, b"")))


def _comment(data: bytes) -> str:
    """The comment among what nft keeps with an element: type, length, text."""
    at = 0
    while at + 2 <= len(data):
        kind, length = data[at], data[at + 1]
        if kind == _COMMENT:
            return data[at + 2 : at + 2 + length].rstrip(b"\0").decode(errors="replace")
        at += 2 + length
    return ""


class _Form:
    """The bytes of the elements of one set that have neither comment nor counter: all are of one length."""

    def __init__(self, name: str, family: str) -> None:
        shape = SHAPES[name]
        self._plain = not (shape.named or shape.counted or NETWORK in shape.key or VERDICT in shape.data)
        key, data = key_size(name, family), data_size(name, family)
        value = _attribute_head(_VALUE, key)
        after = b""
        if data:
            inner = _attribute_head(_VALUE, data)
            after = _attribute_head(_DATA, len(inner) + data) + inner
        length = 8 + key + len(after) + data
        self._head = _attribute_head(_ELEMENT, length) + _attribute_head(_KEY, 4 + key) + value
        self._after = after
        self._struct = struct.Struct(f"={len(self._head)}s{key}s{len(after)}s{data}s")

    def read(self, data: bytes) -> Iterable[tuple[bytes, Element]] | None:
        """All elements in ``data``; None where they are not just of this form."""
        if not self._plain or len(data) % self._struct.size:
            return None
        rows = list(self._struct.iter_unpack(data))
        if {(head, after) for head, _key, after, _value in rows} - {(self._head, self._after)}:
            return None
        return ((key, Element(value)) for _head, key, _after, value in rows)

    def write(self, entries: Iterable[tuple[bytes, Element]]) -> list[bytes] | None:
        if not self._plain:
            return None
        head, after = self._head, self._after
        return [head + key + after + element.data for key, element in entries]


def _packed(name: str, family: str, entries: Mapping[bytes, Element]) -> Iterable[bytes]:
    """Elements as they are added."""
    ready = _Form(name, family).write(entries.items())
    return ready if ready is not None else (_whole(name, key, element) for key, element in entries.items())


def _keys(name: str, entries: Iterable[bytes]) -> Iterator[bytes]:
    """Elements as they are deleted: by their keys."""
    for key in entries:
        yield netlink.attribute(_ELEMENT | netlink.NESTED, _key(name, key))


def _key(name: str, key: bytes) -> bytes:
    ranges = NETWORK in SHAPES[name].key
    first, last = (key[: len(key) // 2], key[len(key) // 2 :]) if ranges else (key, b"")
    found = _nested(_KEY, netlink.attribute(_VALUE, first))
    return found + (_nested(_KEY_END, netlink.attribute(_VALUE, last)) if ranges else b"")


def _whole(name: str, key: bytes, element: Element) -> bytes:
    shape = SHAPES[name]
    found = _key(name, key)
    if VERDICT in shape.data:
        chain = netlink.attribute(_VERDICT_CHAIN, element.data + b"\0")
        verdict = _nested(_VERDICT, netlink.attribute(_VERDICT_CODE, _GOTO) + chain)
        found += _nested(_DATA, verdict)
    elif shape.data:
        found += _nested(_DATA, netlink.attribute(_VALUE, element.data))
    return netlink.attribute(_ELEMENT | netlink.NESTED, found + _comment_of(element))


def _comment_of(element: Element) -> bytes:
    text = element.comment.encode() + b"\0"
    return netlink.attribute(_USERDATA, bytes((_COMMENT, len(text))) + text) if element.comment else b""


class Change(NamedTuple):
    """What changes in one set: elements that go, and that come. A key may be in both."""

    name: str
    removed: Mapping[bytes, Element]
    added: Mapping[bytes, Element]


def commit(changes: Mapping[str, Sequence[Change]], generation: int) -> None:
    """Change elements by family, all or nothing, if the rule set is still of this ``generation``. Raises OSError."""
    messages = [
        message for family, found in changes.items() for change in found for message in _messages_of(family, change)
    ]
    _transact(messages, generation)


def _messages_of(family: str, change: Change) -> Iterator[tuple[int, int, bytes]]:
    head = _family(FAMILIES[family]) + _string(_TABLE, TABLE) + _string(_NAME, change.name)
    for piece in _pieces(_keys(change.name, change.removed)):
        yield _DELETE_ELEMENTS, 0, head + _nested(_ELEMENTS, piece)
    for piece in _pieces(_packed(change.name, family, change.added)):
        yield _NEW_ELEMENTS, netlink.CREATE, head + _nested(_ELEMENTS, piece)


def size(change: Change, family: str) -> int:
    """Bytes of elements that a change sends."""
    key, data = key_size(change.name, family), data_size(change.name, family)
    return len(change.removed) * key + len(change.added) * (key + data)


def delete_table(family: str, name: str = TABLE) -> None:
    """Raises OSError."""
    _transact([(_DELETE_TABLE, 0, _family(FAMILIES[family]) + _string(_TABLE_NAME, name))], None)


def delete_chains(family: str, names: Iterable[str]) -> None:
    """Delete chains that nothing refers to. Raises OSError."""
    head = _family(FAMILIES[family]) + _string(_TABLE, TABLE)
    _transact([(_DELETE_CHAIN, 0, head + _string(_CHAIN_NAME, name)) for name in names], None)


def _transact(messages: Sequence[tuple[int, int, bytes]], generation: int | None) -> None:
    """Raises OSError with the reason of the first message that the kernel did not take."""
    if not messages:
        return
    guard = netlink.attribute(_GENERATION_ID, generation.to_bytes(4, "big")) if generation is not None else b""
    last = len(messages)
    parts = [netlink.message(_BEGIN, 0, 0, _family(0, _NF_TABLES) + guard)]
    for at, (kind, flags, body) in enumerate(messages, 1):
        parts.append(netlink.message(kind, flags | (netlink.ACK if at == last else 0), at, body))
    parts.append(netlink.message(_END, 0, last + 1, _family(0, _NF_TABLES)))
    with netlink.netfilter() as link:
        netlink.make_room(link)
        link.send(b"".join(parts))
        for code in netlink.outcomes(link, last):
            if code:
                raise OSError(code, os.strerror(code))


def _pieces(elements: Iterable[bytes]) -> Iterator[bytes]:
    """Elements joined, as many as a message takes."""
    found: list[bytes] = []
    size = 0
    for element in elements:
        if size + len(element) > _MOST:
            yield b"".join(found)
            found, size = [], 0
        found.append(element)
        size += len(element)
    if found:
        yield b"".join(found)


def _family(number: int, resource: int = 0) -> bytes:
    return _FAMILY.pack(number, 0, socket.htons(resource))


def _nested(kind: int, value: bytes) -> bytes:
    return netlink.attribute(kind | netlink.NESTED, value)


def _attribute_head(kind: int, size: int) -> bytes:
    return _LENGTHS.pack(_LENGTHS.size + size, kind)


def _string(kind: int, text: str) -> bytes:
    return netlink.attribute(kind, text.encode() + b"\0")


def _name(data: bytes) -> str:
    return data.rstrip(b"\0").decode()
