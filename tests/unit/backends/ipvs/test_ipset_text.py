"""What ipset prints is read, and what it takes is written."""

from __future__ import annotations

import pytest

from sluice.backends.ipvs import ipset_text
from sluice.backends.ipvs.ipset_text import MAXELEM, IpSet, ip_set

PRINTED_BY_IPSET = """\
create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x6ce6fda6
add KUBE-CLUSTER-IP 10.96.0.1,tcp:443
add KUBE-CLUSTER-IP 10.96.0.10,udp:53
create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
add KUBE-NODE-PORT-TCP 30080
create office hash:net family inet6 hashsize 64 maxelem 1024 timeout 600 counters
add office 2001:db8::/32 timeout 512 packets 3 bytes 180
"""


def test_ipset_save() -> None:
    sets = ipset_text.parse(PRINTED_BY_IPSET)
    assert sets["KUBE-CLUSTER-IP"] == IpSet(
        "hash:ip,port family inet", ("10.96.0.1,tcp:443", "10.96.0.10,udp:53"), MAXELEM
    )
    assert sets["KUBE-NODE-PORT-TCP"] == IpSet("bitmap:port range 0-65535", ("30080",))
    assert sets["office"] == IpSet("hash:net family inet6 counters", ("2001:db8::/32",), 1024)


NOMATCH = """\
create office hash:net family inet counters comment skbinfo
add office 10.1.0.0/16 timeout 500 nomatch packets 3 bytes 0 comment "without" skbmark 0x3
add office 10.2.0.0/16 comment "a nomatch b" packets 3
add office 10.3.0.0/16 comment nomatch
add office 10.4.0.0/16 comment "a \\ b" nomatch
"""


def test_exceptions() -> None:
    office = ipset_text.parse(NOMATCH)["office"]
    assert office.members == tuple(f"10.{number}.0.0/16" for number in range(1, 5))
    assert office.nomatch == {"10.1.0.0/16", "10.4.0.0/16"}
    assert office.matching == ("10.2.0.0/16", "10.3.0.0/16")
    assert "add office 10.1.0.0/16 nomatch\nadd office 10.2.0.0/16\n" in ipset_text.text({"office": office})
    assert ipset_text.parse(ipset_text.text({"office": office})) == {"office": office}


def test_a_mask_is_part_of_what_a_set_is() -> None:
    for mask in ("netmask 24", "bitmask 255.255.0.255"):
        kind = f"hash:ip family inet {mask}"
        assert ipset_text.parse(f"create x {kind} hashsize 1024 maxelem 65536\n")["x"].header == kind


def test_a_set_is_as_large_as_it_has_to_be() -> None:
    many = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255},tcp:80" for n in range(MAXELEM + 1)]
    large = ip_set("hash:ip,port family inet", [*many, *many])
    assert large.maxelem == 2 * MAXELEM
    assert ipset_text.text({"x": large}).startswith(f"create x hash:ip,port family inet maxelem {2 * MAXELEM}\n")
    assert ipset_text.parse(ipset_text.text({"x": large})) == {"x": large}


@pytest.mark.parametrize("text", ["flush x\n", "create x\n", "add x\n", "add x 10.0.0.1\n", "nonsense"])
def test_not_ipset(text: str) -> None:
    with pytest.raises(ipset_text.TextError):
        ipset_text.parse(text)


def members(entries: range) -> str:
    return "".join(f"add x 10.0.{n >> 8}.{n & 255}\n" for n in entries)


CREATE = "create x hash:ip family inet\n"


def test_difference_holds_the_members_that_differ() -> None:
    old, new = CREATE + members(range(500)), CREATE + members(range(1, 501))
    have, want = ipset_text.difference(old, new)
    assert (have["x"].members, want["x"].members) == (("10.0.0.0",), ("10.0.1.244",))
    assert ipset_text.difference(old, old)[0]["x"] == IpSet("hash:ip family inet", (), MAXELEM)


def test_difference_of_a_set_that_grows_is_all_of_it() -> None:
    larger = f"create x hash:ip family inet maxelem {2 * MAXELEM}\n" + members(range(3))
    have, want = ipset_text.difference(CREATE + members(range(2)), larger)
    assert (len(have["x"].members), len(want["x"].members)) == (2, 3)


def test_bitmaps_have_no_size() -> None:
    found = ip_set("bitmap:port range 0-65535", ["80", "80", "443"])
    assert (found.members, found.maxelem, found.create) == (("80", "443"), 0, "bitmap:port range 0-65535")
