"""Requests by netlink and their answers, to generic netlink's own family: each kernel has it, and anybody may ask."""

from __future__ import annotations

import errno

import pytest

from sluice.system import netlink

CONTROL, GET_FAMILY, FAMILY_ID, FAMILY_NAME = 16, bytes([3, 1, 0, 0]), 1, 2


def named(name: bytes) -> bytes:
    return netlink.attribute(FAMILY_NAME, name + b"\0")


def test_one_answer() -> None:
    with netlink.connected(netlink.GENERIC) as link:
        (answer,) = netlink.ask(link, CONTROL, GET_FAMILY, named(b"nlctrl"))
    held = dict(netlink.attributes(answer))
    assert (netlink.number(held[FAMILY_ID]), held[FAMILY_NAME]) == (CONTROL, b"nlctrl\0")


def test_all_answers() -> None:
    with netlink.connected(netlink.GENERIC) as link:
        names = [
            dict(netlink.attributes(answer))[FAMILY_NAME]
            for answer in netlink.ask(link, CONTROL, GET_FAMILY, dump=True)
        ]
    assert b"nlctrl\0" in names


def test_a_request_that_is_refused() -> None:
    with netlink.connected(netlink.GENERIC) as link, pytest.raises(FileNotFoundError):
        next(netlink.ask(link, CONTROL, GET_FAMILY, named(b"nobody")))


@pytest.mark.parametrize(
    ("several", "refused"), [([b"nlctrl"], 0), ([b"x", b"nlctrl"], 1), ([b"x"] * 100, 100), ([], 0)]
)
def test_many_requests(several: list[bytes], refused: int) -> None:
    with netlink.connected(netlink.GENERIC) as link:
        codes = netlink.send(link, CONTROL, GET_FAMILY, [named(name) for name in several])
        assert codes == [errno.ENOENT] * refused
        assert netlink.send(link, CONTROL, GET_FAMILY, [named(b"x")]) == [errno.ENOENT], "nothing of before is left"


def test_attributes() -> None:
    data = netlink.attribute(1, b"abc") + netlink.nested(
        2, netlink.attribute(3, b""), netlink.attribute(4, b"\1\0\0\0")
    )
    assert len(data) % 4 == 0
    found = dict(netlink.attributes(data))
    assert found[1] == b"abc"
    assert list(netlink.attributes(found[2])) == [(3, b""), (4, b"\1\0\0\0")]
    assert list(netlink.attributes(b"\0" * 7)) == [(0, b"")], "no circle"
