"""Elements in netlink messages: what is written is read again, in pieces that a message has room for."""

from __future__ import annotations

import struct

import pytest

from sluice.addresses import FAMILIES, IPV4
from sluice.backends.nftables import netlink
from sluice.backends.nftables.elements import Element, data_size, key_size
from sluice.backends.nftables.layout import NETWORK, SHAPES
from sluice.backends.nftables.netlink import Change


def example(name: str, family: str, number: int = 1) -> dict[bytes, Element]:
    shape = SHAPES[name]
    ends = 2 if NETWORK in shape.key else 1
    key = struct.pack("=I", number) * (key_size(name, family) // 4 * ends)
    data = b"random-5" if name == "ways" else b"\1\2\3\4" * (data_size(name, family) // 4)
    return {key: Element(data, "shop/web" if shape.named else "")}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SHAPES)
def test_what_is_written_is_read(name: str, family: str) -> None:
    entries = example(name, family) | example(name, family, 2)
    data = b"".join(netlink._packed(name, family, entries))
    assert dict(netlink._read_list(name, data, family)) == entries
    # A kernel may say more than was asked for, such as a counter: then each is read by itself.
    other = b"".join(netlink._whole(name, key, element) for key, element in entries.items())
    assert dict(netlink._read_list(name, other, family)) == entries


def test_a_message_has_room_for_so_many() -> None:
    entries = {struct.pack("=II", number, 0): Element(b"\1\2\3\4\5\6\0\0") for number in range(5000)}
    (one,) = [list(netlink._messages_of(IPV4, Change("slots-tcp", {}, entries)))]
    assert len(one) > 1
    assert all(len(body) < 65000 for _kind, _flags, body in one)
    kinds = [kind for kind, _, _ in netlink._messages_of(IPV4, Change("slots-tcp", entries, entries))]
    assert kinds == sorted(kinds, reverse=True), "what goes makes room for what comes"


def test_comments() -> None:
    assert netlink._comment(b"\0\x09shop/web\0") == "shop/web"
    assert netlink._comment(b"\7\1x\0\2a\0") == "a"
    assert netlink._comment(b"") == ""


def test_how_much_a_change_sends() -> None:
    entries = example("slots-tcp", IPV4)
    assert netlink.size(Change("slots-tcp", entries, entries), IPV4) == 8 + 16
