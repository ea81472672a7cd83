"""What ipvsadm prints is read, also from /proc, and what it takes is written."""

from __future__ import annotations

import pytest

from sluice.backends.ipvs import text as ipvs_text
from sluice.backends.ipvs.text import RealServer, VirtualAddress, VirtualServer

PRINTED_BY_IPVSADM = """\
-A -t 10.96.0.1:443 -s rr -p 10800
-a -t 10.96.0.1:443 -r 10.244.1.1:6443 -m -w 1
-a -t 10.96.0.1:443 -r 10.244.1.2:6443 -m -w 0
-A -u [fd00:96::a]:53 -s mh -b mh-port
-a -u [fd00:96::a]:53 -r [fd00:244::1]:53 -m -w 3
-A --sctp-service 10.96.0.5:38412 -s sh -p 60 -M 255.255.255.0 --pe sip -o -b sh-fallback,sh-port
-A -f 7 -s wlc
-a -f 7 -r 10.0.0.1:0 -g -w 1
-A -t 192.0.2.7:80 -s wlc
-a -t 192.0.2.7:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip
"""


def test_ipvsadm_save() -> None:
    servers = ipvs_text.parse(PRINTED_BY_IPVSADM)
    assert servers[VirtualAddress("tcp", "10.96.0.1", 443)] == VirtualServer(
        "rr", 10800, (), {"10.244.1.1:6443": RealServer(1), "10.244.1.2:6443": RealServer(0)}
    )
    assert servers[VirtualAddress("udp", "fd00:96::a", 53)] == VirtualServer(
        "mh", 0, ("mh-port",), {"[fd00:244::1]:53": RealServer(3)}
    )
    foreign = servers[VirtualAddress("sctp", "10.96.0.5", 38412)]
    assert (foreign.other, foreign.flags) == ("-M 255.255.255.0 --pe sip -o", ("sh-fallback", "sh-port"))
    assert servers[VirtualAddress("tcp", "192.0.2.7", 80)].real == {"10.0.0.1:80": RealServer(1, "-i")}
    assert len(servers) == 4, "firewall marks are nobody we know"


def test_what_is_printed_is_written() -> None:
    ours = "".join(
        line for line in PRINTED_BY_IPVSADM.splitlines(keepends=True) if " -f " not in line and "--tun" not in line
    )
    assert ipvs_text.text(ipvs_text.parse(ours)) == ours


def test_addresses_without_brackets_are_read_too() -> None:
    assert list(ipvs_text.parse("-A -t fd00:96::50:80 -s rr\n")) == [VirtualAddress("tcp", "fd00:96::50", 80)]


@pytest.mark.parametrize(
    "text",
    ["-A -t 10.0.0.1 -s rr\n", "-A\n", "-D -t 10.0.0.1:80\n", "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 1\n", "x y z\n"],
)
def test_not_ipvsadm(text: str) -> None:
    with pytest.raises(ipvs_text.TextError):
        ipvs_text.parse(text)


def test_addresses() -> None:
    assert ipvs_text.parse_addresses("# ours\n10.96.0.1/32\n\nfd00:96::1/128\n") == ("10.96.0.1/32", "fd00:96::1/128")
    assert ipvs_text.addresses_text(("10.96.0.1/32",)) == "10.96.0.1/32\n"


LISTED = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr persistent 2700000 FFFFFFFF
  -> 0AF40101:192B      Masq    1      3          14        
  -> 0AF40102:192B      Masq    0      0          0         
UDP  [fd00:0096:0000:0000:0000:0000:0000:000a]:0035 mh 
  -> [fd00:0244:0000:0000:0000:0000:0000:0001]:0035      Masq    3      0          0         
FWM  00000007 wlc 
  -> 0A000001:0000      Route   1      0          0         
TCP  C0000207:0050 wlc 
  -> 0A000001:0050      Tunnel  1      0          0         
"""  # noqa: W291  # as the kernel pads it
OPTIONS = {
    "TCP 0A600001:01BB": "-s rr -p 10800",
    "UDP [fd00:0096:0000:0000:0000:0000:0000:000a]:0035": "-s mh -b mh-port",
    "TCP C0000207:0050": "-s wlc",
}


def test_proc_says_what_ipvsadm_says() -> None:
    servers = ipvs_text.parse(PRINTED_BY_IPVSADM)
    del servers[VirtualAddress("sctp", "10.96.0.5", 38412)]
    assert ipvs_text.parse(ipvs_text.from_proc(LISTED, OPTIONS)) == servers


def test_proc_may_lack_a_virtual_server() -> None:
    with pytest.raises(LookupError, match="missing"):
        ipvs_text.from_proc(LISTED, {**OPTIONS, "TCP 0A600063:0050": "-s rr"})


@pytest.mark.parametrize(
    ("old", "new"), [("rr persistent", "rr"), ("Masq    1      3", "Masq    1234567 3"), ("0AF40101:", "0AF40101")]
)
def test_proc_in_other_words_is_not_guessed_at(old: str, new: str) -> None:
    listed = LISTED.replace(old, new)
    if "persistent" in old:
        assert ipvs_text.from_proc(listed, OPTIONS)
        listed = listed.replace("0A600001", "0A600002")  # nobody has said its options
    with pytest.raises((ValueError, LookupError)):
        ipvs_text.from_proc(listed, OPTIONS)


def server(n: int, real: str = "10.244.0.1:80") -> str:
    return f"-A -t 10.96.{n >> 8}.{n & 255}:80 -s rr\n-a -t 10.96.{n >> 8}.{n & 255}:80 -r {real} -m -w 1\n"


def test_difference_holds_the_servers_that_differ() -> None:
    old = "".join(map(server, range(300)))
    new = old.replace(server(7), server(7, "10.244.0.2:80")).replace(server(8), "") + server(300)
    have, want = ipvs_text.difference(old, new, also=["-t 10.96.0.9:80"])
    assert [each.address for each in have] == ["10.96.0.7", "10.96.0.8", "10.96.0.9"]
    assert sorted(each.address for each in want) == ["10.96.0.7", "10.96.0.9", "10.96.1.44"]
    assert list(want[VirtualAddress("tcp", "10.96.0.7", 80)].real) == ["10.244.0.2:80"]
    assert ipvs_text.difference(old, old) == ({}, {})


def test_difference_of_much_is_all() -> None:
    old, new = ("".join(server(n, real) for n in range(200)) for real in ("10.244.0.1:80", "10.244.0.2:80"))
    assert ipvs_text.difference(old, new) == (ipvs_text.parse(old), ipvs_text.parse(new))


def test_names_of_servers() -> None:
    assert ipvs_text.names(server(1) + server(2)) == {"-t 10.96.0.1:80", "-t 10.96.0.2:80"}
    assert ipvs_text.names("") == set()
