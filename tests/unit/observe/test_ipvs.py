"""Which packets are in IP sets, which virtual server takes them, and who gets how many."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sluice.backends.ipvs import ipset_text, text
from sluice.observe import ipvs
from sluice.observe.packets import ELSEWHERE, UNTOLD, Packet

PACKET = Packet("10.96.0.1", 80, "tcp", "10.1.0.1")


def _asked(kind: str, members: str, directions: str, packet: Packet = PACKET) -> bool:
    """``members``: by semicolons."""
    held = ipset_text.parse(f"create A {kind}\n" + "".join(f"add A {each}\n" for each in members.split("; ")))
    return ipvs.members(held["A"])(packet, directions)


@pytest.mark.parametrize(
    ("kind", "member", "directions", "has"),
    [
        ("hash:ip family inet", "10.96.0.1", "dst", True),
        ("hash:ip family inet", "10.96.0.1", "src", False),
        ("hash:ip,port family inet", "10.96.0.1,tcp:80", "dst,dst", True),
        ("hash:ip,port family inet", "10.96.0.1,udp:80", "dst,dst", False),
        ("hash:ip,port,ip family inet", "10.96.0.1,tcp:80,10.1.0.1", "dst,dst,src", True),
        ("hash:ip,port,net family inet", "10.96.0.1,tcp:80,10.0.0.0/8", "dst,dst,src", True),
        ("hash:ip,port,net family inet", "10.96.0.1,tcp:80,10.2.0.0/16", "dst,dst,src", False),
        ("hash:net family inet", "10.96.0.0/12", "dst", True),
        ("hash:net,port family inet", "10.96.0.0/12,tcp:80", "dst,dst", True),
        ("hash:net,port family inet", "10.96.0.0/12,tcp:81", "dst,dst", False),
        ("hash:net,net family inet", "10.96.0.0/12,10.1.0.0/16", "dst,src", True),
        ("hash:net,net family inet", "10.96.0.0/12,10.2.0.0/16", "dst,src", False),
        ("bitmap:port range 0-65535", "80", "dst", True),
        ("bitmap:port range 0-65535", "81", "dst", False),
        ("hash:ip family inet", "10.96.0.1", "dst,dst", True),
        ("hash:ip family inet netmask 24", "10.96.0.0", "dst", True),
        ("hash:ip family inet netmask 24", "10.96.0.0", "src", False),
        ("hash:ip,port family inet netmask 16", "10.96.0.0,tcp:80", "dst,dst", True),
        ("bitmap:ip range 10.96.0.0/24 netmask 28", "10.96.0.0", "dst", True),
        ("hash:ip family inet bitmask 255.0.0.255", "10.0.0.1", "dst", True),
        ("hash:ip family inet bitmask 255.255.0.255", "10.0.0.1", "dst", False),
        ("hash:net family inet", "10.0.0.0/8; 10.96.0.0/12 nomatch", "dst", False),
        ("hash:net family inet", "10.96.0.0/12 nomatch; 10.0.0.0/8", "dst", False),
        ("hash:net family inet", "10.0.0.0/8; 10.96.0.0/12 nomatch; 10.96.0.0/24", "dst", True),
        ("hash:net family inet", "10.0.0.0/8; 10.96.0.0/12; 10.96.0.1 nomatch", "dst", False),
        ("hash:net family inet", "10.0.0.0/8; 10.96.0.0/12 nomatch", "src", True),
        ("hash:net,port family inet", "10.0.0.0/8,tcp:80; 10.96.0.0/12,tcp:81 nomatch", "dst,dst", True),
        (
            "hash:ip,port,net family inet",
            "10.96.0.1,tcp:80,10.0.0.0/8; 10.96.0.1,tcp:80,10.1.0.0/16 nomatch",
            "dst,dst,src",
            False,
        ),
        ("hash:net,net family inet", "10.96.0.0/12,10.0.0.0/8 nomatch; 10.0.0.0/8,10.1.0.0/16", "dst,src", False),
        ("hash:net,net family inet", "10.96.0.0/12,10.0.0.0/8; 10.96.0.0/12,10.1.0.0/16 nomatch", "dst,src", False),
    ],
)
def test_members(kind: str, member: str, directions: str, has: bool) -> None:
    assert _asked(kind, member, directions) is has


def test_a_client_elsewhere_is_in_all_of_the_world_alone() -> None:
    packet = PACKET._replace(source=ELSEWHERE)
    assert _asked("hash:net family inet", "0.0.0.0/0", "src", packet)
    assert not _asked("hash:net family inet", "0.0.0.0/1", "src", packet)
    assert not _asked("hash:ip family inet netmask 24", "10.0.0.0", "src", packet)


def test_the_node_s_own_address_may_be_in_any_set() -> None:
    packet = PACKET._replace(destination=UNTOLD["IPv4"])
    for kind, member in (("hash:ip family inet", "10.0.0.10"), ("hash:net family inet", "10.0.0.0/8")):
        with pytest.raises(ValueError, match="no dump tells the node's address"):
            _asked(kind, member, "dst", packet)
        assert not _asked(kind, member.replace("10.0", "9.0"), "src", packet)


@pytest.mark.parametrize(
    ("kind", "member", "directions"),
    [
        ("hash:ip,port family inet", "10.1.0.1,tcp:80", "src,src"),
        ("hash:ip,port family inet", "10.96.0.1,tcp:80", "dst"),
        ("hash:ip family inet", "10.96.0.1", "somewhere"),
        ("hash:net,iface family inet", "10.96.0.0/12,eth0", "dst,dst"),
        ("hash:mac", "01:02:03:04:05:06", "src"),
        ("list:set size 8", "B", "dst"),
        ("hash:net family inet", "host.example", "dst"),
    ],
)
def test_what_no_dump_tells_of_a_set(kind: str, member: str, directions: str) -> None:
    with pytest.raises(ValueError, match=r"no dump tells|too few|does not appear"):
        _asked(kind, member, directions)


SERVERS = (
    "-A -t 10.96.0.1:80 -s {scheduler}\n-a -t 10.96.0.1:80 -r 10.1.0.1:80 -m -w 1\n"
    "-a -t 10.96.0.1:80 -r 10.1.0.2:80 -m -w 3\n-a -t 10.96.0.1:80 -r 10.1.0.3:80 -m -w 0\n"
)


def test_who_takes_a_packet() -> None:
    servers = text.parse(SERVERS.format(scheduler="rr"))
    taken = ipvs.taken_by(servers, PACKET)
    assert taken is not None
    assert taken.text == "-t 10.96.0.1:80"
    assert ipvs.taken_by(servers, PACKET._replace(port=81)) is None
    assert ipvs.taken_by(servers, PACKET._replace(protocol="udp")) is None


@pytest.mark.parametrize(
    ("scheduler", "first", "second"),
    [
        ("rr", "1/2", "1/2"),
        ("lc", "1/2", "1/2"),
        ("wrr", "1/4", "3/4"),
        ("sed", "1/4", "3/4"),
        ("nq", "1/4", "3/4"),
        ("sh -b sh-fallback", "1/4", "3/4"),
        ("sh", "1/5", "3/5"),
        ("dh", "1/3", "1/3"),
    ],
)
def test_shares(scheduler: str, first: str, second: str) -> None:
    """By weight only where the scheduler minds it. Who has none gets nothing new; a hash refuses its clients."""
    (server,) = text.parse(SERVERS.format(scheduler=scheduler)).values()
    assert dict(ipvs.shares(server)) == {"10.1.0.1:80": Fraction(first), "10.1.0.2:80": Fraction(second)}


@pytest.mark.parametrize("scheduler", ["fo", "ovf"])
def test_the_heaviest_has_it_all(scheduler: str) -> None:
    """Two that weigh the same: which of them, no dump tells."""
    (server,) = text.parse(SERVERS.format(scheduler=scheduler)).values()
    assert dict(ipvs.shares(server)) == {"10.1.0.2:80": Fraction(1)}
    (server,) = text.parse(SERVERS.format(scheduler=scheduler).replace("-w 1", "-w 3")).values()
    assert dict(ipvs.shares(server)) == {"10.1.0.1:80": Fraction(1, 2), "10.1.0.2:80": Fraction(1, 2)}


def test_nobody_to_share_with() -> None:
    (server,) = text.parse("-A -t 10.96.0.1:80 -s rr\n").values()
    assert list(ipvs.shares(server)) == []
