"""Requests to the kernel and its answers: with the kernel itself, and with answers that it seldom gives."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from sluice.system import netlink

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A link, and the other end of it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        for end in (ours, theirs):
            end.settimeout(60)
        yield ours, theirs


def message(kind: int, body: bytes, sequence: int = 1) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body + bytes(-len(body) % 4)


def told(code: int, sequence: int = 1) -> bytes:
    """An error, or with 0 an acknowledgement; the request's header follows it."""
    return message(2, struct.pack("=i16x", -code), sequence)


def test_the_kernel_is_asked() -> None:
    """Generic netlink's controller about itself (linux/genetlink.h), which it tells everybody."""
    get_family, family_id, family_name = 3, 1, 2
    body = bytes([get_family, 1, 0, 0])
    with netlink.connect(netlink.GENERIC) as link:
        [answer] = netlink.ask(link, 16, body + netlink.attribute(family_name, b"nlctrl\0"))
        held = dict(netlink.attributes(answer, len(body)))
        assert (netlink.number(held[family_id]), held[family_name]) == (16, b"nlctrl\0")
        with pytest.raises(FileNotFoundError):
            next(netlink.ask(link, 16, body + netlink.attribute(family_name, b"nobody\0")))
        assert answer in list(netlink.ask(link, 16, body, netlink.DUMP))


def test_a_socket_is_kept_for_the_next() -> None:
    with netlink.netfilter() as link, netlink.netfilter() as other:
        assert link is not other, "who asks in the middle of an answer has one of his own"
    with netlink.netfilter() as again:
        assert again in (link, other)
    with pytest.raises(ZeroDivisionError), netlink.netfilter() as spoilt:
        1 / 0  # noqa: B018
    assert spoilt.fileno() == -1, "answers may be left in it"
    with netlink.netfilter() as sound:
        assert sound.fileno() != -1


def test_a_child_has_none_of_its_parents_sockets() -> None:
    """Also one in another PID namespace, which may have its parent's number there."""
    with netlink.netfilter() as link:
        pass
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException), netlink.netfilter() as own:
            os.write(writer, b"the same" if own is link else b"another")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"another"
    os.close(reader)
    os.close(writer)
    with netlink.netfilter() as again:
        assert again is link


def test_a_dump_has_many_messages_and_an_end(pair: Pair) -> None:
    link, kernel = pair
    kernel.send(message(7, b"one") + message(7, b"four"))
    kernel.send(message(7, b"six"))
    kernel.send(message(3, bytes(4)))
    assert list(netlink.ask(link, 5, b"all", netlink.DUMP)) == [b"one", b"four", b"six"]
    assert kernel.recv(100) == struct.pack("=IHHII", 19, 5, 0x301, 1, 0) + b"all\0"


@pytest.mark.parametrize("end", [told(errno.EPERM), message(3, struct.pack("=i", -errno.EPERM))])
def test_what_fails_has_its_reason(pair: Pair, end: bytes) -> None:
    link, kernel = pair
    kernel.send(message(7, b"one") + end)
    with pytest.raises(PermissionError, match=r"Operation not permitted$"):
        list(netlink.ask(link, 5, b"", netlink.DUMP))


def test_many_requests_are_few_datagrams(pair: Pair) -> None:
    """Only the last one of each is acknowledged, by success or by its failure."""
    link, kernel = pair
    for answer in (told(errno.ENOENT, 3), told(0, 64), told(errno.EBUSY, 64), told(0, 2)):
        kernel.send(answer)
    bodies = [struct.pack("=I", number) for number in range(130)]
    assert list(netlink.carry_out(link, 9, bodies)) == [errno.ENOENT, errno.EBUSY]
    sent = [kernel.recv(4096) for _datagram in range(3)]
    requests = [list(struct.iter_unpack("=IHHIII", each)) for each in sent]
    assert [len(each) for each in requests] == [64, 64, 2]
    assert [request[5] for each in requests for request in each] == list(range(130))
    assert all([request[2] for request in each] == [1] * (len(each) - 1) + [5] for each in requests)


def test_nothing_to_carry_out(pair: Pair) -> None:
    assert list(netlink.carry_out(pair[0], 9, [])) == []


def test_attributes() -> None:
    data = (
        b"head"
        + netlink.attribute(1, b"x")
        + netlink.attribute(netlink.NESTED | 2, b"four")
        + netlink.attribute(3, b"")
    )
    assert list(netlink.attributes(data, 4)) == [(1, b"x"), (2, b"four"), (3, b"")]
    assert netlink.picked(data, (1, 3), 4) == data[4:12] + data[-4:]
    assert netlink.picked(data, (2,), 4) == data[12:20], "as they stand there"


@pytest.mark.parametrize("data", [b"", b"\0\0", bytes(4), b"\xff\xff\x01\0"])
def test_what_is_cut_off_has_an_end(data: bytes) -> None:
    assert len(list(netlink.attributes(data))) == len(data) // 4
    netlink.picked(data, (1,))


def test_a_chain_that_is_not_there() -> None:
    """Also for who may not ask, and in a kernel without nf_tables; tests/kernel has those that are there."""
    assert not netlink.nft_has_chain(2, "nobody", "nothing")
