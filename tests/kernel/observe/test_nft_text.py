"""What ``nft list ruleset`` prints is read as what ``nft -j list ruleset`` prints of the same, and so are our files.

The kernel holds flat tables of random catalogues, tables as kube-proxy makes them, and rules that others may have.
SLUICE_NFT_TEXT_SEED repeats a run.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import kube_proxy_tables
import pytest
import random_catalogues
import support
from crossing import CLIENTS, NODE, PODS
from support import in_a_namespace

from sluice import addresses, render
from sluice.addresses import FAMILIES, IPV4, IPV6
from sluice.backends.interface import Memo
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE
from sluice.observe import hooks, nft_parse, outcomes
from sluice.observe.packets import ELSEWHERE, Packet
from sluice.observe.snapshot import Snapshot, snapshot

SEED = int(os.environ.get("SLUICE_NFT_TEXT_SEED", "0")) or random.randrange(1, 2**32)
_BETWEEN = "=======\n"
_LISTED = f"nft -f -; nft list ruleset; echo {_BETWEEN.strip()}; nft -j list ruleset"

pytestmark = pytest.mark.usefixtures("needs_root")


def _held(loaded: str) -> tuple[str, str]:
    """What nft lists of what was loaded, in its own language and in JSON."""
    text, _between, listed = in_a_namespace(_LISTED, loaded).partition(_BETWEEN)
    return text, listed


def _outcomes(held: Snapshot, packet: Packet) -> set[tuple[Any, ...]]:
    found = hooks.trace(held.stations(packet.family), held.servers, packet, held.node)
    return {(each.verdict, each.endpoint, each.probability, each.masquerade) for each in found}


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("family", FAMILIES)
def test_flat_tables(family: str, number: int) -> None:
    print(f"test_nft_text.py: seed {SEED}", flush=True)
    source = random.Random(f"{SEED} {family} {number}")
    settings = random_catalogues.settings(source, family)
    services = random_catalogues.services(source, family, 30)
    catalogue = support.catalogue(*itertools.chain(*services), random_catalogues.pod(source, family))
    ours = BACKEND.render(render.views(catalogue, settings), settings, Memo())[FILE]
    text, listed = _held(ours)
    own = [*NODE[IPV4], *NODE[IPV6]]
    known, read, file = (snapshot([("dump", each)], own) for each in (listed, text, ours))
    found = set()
    for request in random_catalogues.requests(catalogue, family):
        sources = {"node": NODE[family][0], "pod1": PODS[family][0], "pod2": PODS[family][1]}
        client = request.source or sources.get(request.host, CLIENTS[family][0])
        packet = Packet(request.address, request.port, request.protocol, client)
        expected = _outcomes(known, packet)
        assert _outcomes(read, packet) == expected, packet
        assert _outcomes(file, packet) == expected, packet
        found |= {outcome[0] for outcome in expected}
    assert outcomes.ENDPOINT in found


def _packets() -> Iterator[Packet]:
    for destination, port in (
        *(("10.96.0.1", 80), ("10.96.0.1", 81), ("10.96.0.2", 80), ("10.96.0.3", 80), ("10.96.0.4", 53)),
        *(("10.96.0.9", 80), ("203.0.113.1", 80), ("203.0.113.9", 80)),
        *(("10.0.0.10", port) for port in (30001, 30002, 30003, 30004)),
        ("127.0.0.1", 30001),
    ):
        for client in (ELSEWHERE, "10.0.0.10", "10.244.1.5", "192.0.2.7", "198.51.100.9", "198.51.100.200"):
            for protocol in ("tcp", "udp"):
                yield Packet(destination, port, protocol, client)
    for client in (ELSEWHERE, "fd00:1::5", "fd00::10"):
        yield Packet("fd00:96::1", 80, "tcp", client)


@functools.cache
def _kube_proxys() -> tuple[Snapshot, Snapshot]:
    """Its tables, as read from JSON and from text."""
    text, listed = _held(kube_proxy_tables.IPV4 + kube_proxy_tables.IPV6)
    own = ["10.0.0.10", "fd00::10"]
    return snapshot([("dump", listed)], own), snapshot([("dump", text)], own)


def test_kube_proxys_tables() -> None:
    known, read = _kube_proxys()
    for packet in _packets():
        assert _outcomes(read, packet) == _outcomes(known, packet), packet


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (Packet("10.96.0.1", 80), {("10.244.1.5:8080", "1/2", True), ("10.244.2.5:8080", "1/2", True)}),
        (
            Packet("10.96.0.1", 80, "tcp", "10.244.1.5"),
            {("10.244.1.5:8080", "1/2", True), ("10.244.2.5:8080", "1/2", False)},
        ),
        (Packet("203.0.113.1", 80, "tcp", "192.0.2.7"), {("10.244.1.5:8080", "1", False)}),
        (Packet("203.0.113.1", 80, "tcp", "198.51.100.200"), {("drop", "1", False)}),
        (Packet("10.96.0.2", 80, "tcp", "198.51.100.9"), {("10.244.2.5:8080", "1", True)}),
        (Packet("10.0.0.10", 30002), {("10.244.1.5:8080", "1/2", True), ("10.244.2.5:8080", "1/2", True)}),
        (Packet("10.0.0.10", 30003), {("reject", "1", False)}),
        (Packet("10.0.0.10", 30004), {("drop", "1", False)}),
        (Packet("10.96.0.3", 80), {("reject", "1", True)}),
        (Packet("10.96.0.1", 81), {("reject", "1", True)}),
        (Packet("10.96.0.9", 80), {("drop", "1", False)}),
        (
            Packet("10.96.0.4", 53, "udp", "10.244.2.7"),
            {(f"{each}:53", "1/3", False) for each in ("10.244.1.5", "10.244.1.6", "10.244.2.7")},
        ),
        (
            Packet("fd00:96::1", 80, "tcp", "fd00:1::5"),
            {("[fd00:1::5]:8080", "1/2", False), ("[fd00:1::6]:80", "1/4", False), ("[fd00:1::7]:80", "1/4", False)},
        ),
    ],
)
def test_ways_through_kube_proxys_tables(packet: Packet, expected: set[tuple[str, str, bool]]) -> None:
    found = _outcomes(_kube_proxys()[1], packet)
    told = {(end or verdict, str(chance), masquerade) for verdict, end, chance, masquerade in found}
    if {verdict for verdict, *_rest in found} <= {outcomes.REJECT, outcomes.DROP}:  # of these the source says nothing
        told, expected = ({(*each[:2], False) for each in some} for some in (told, expected))
    assert told == expected


FORWARD = """
ct state established,related accept
ct state vmap { invalid : drop, established : accept, related : accept }
ct state != { established, related } drop
ct status dnat,snat accept
ct status & dnat == 0 drop
ct original ip daddr 1.2.3.4 ct direction original accept
ct mark & 0xff == 1-7 drop
iifname "lo" iif lo accept
iifname { "eth0", "eth1*" } counter packets 10 bytes 20 accept
iifname . oifname { "lo" . "eth0" } drop
tcp dport { 22, 80, 8000-9000 } ct state new accept
tcp dport != 22 tcp sport > 1024 tcp dport 6-9 log prefix "hello { there" level info
tcp flags syn / fin,syn,rst,ack drop
tcp flags & (fin | syn | rst | ack) != syn drop
tcp flags & (syn | ack) == syn | ack drop
log prefix "a" group 2 snaplen 256 queue-threshold 20
log flags all
meta mark & 0xff == 0x12 accept
meta mark set ct mark
ct mark set meta mark
meta mark set ip saddr map { 1.1.1.1 : 0x1, 2.2.2.2 : 0x2 }
meta mark set (meta mark & 0xff) | 0x100
meta mark set mark and 0xffff xor 0x3
meta mark set meta mark << 4
meta priority set 8005:3001
ip saddr 10.0.0.1 reject with icmp type host-unreachable
ip6 saddr fe80::/10 reject with icmpv6 type admin-prohibited
meta l4proto tcp reject with tcp reset
icmp type echo-request drop
icmpv6 type { nd-neighbor-solicit, nd-router-advert } accept
fib daddr . iif type local accept
fib daddr type { local, broadcast } accept
fib saddr . iif oif missing drop
fib daddr . mark . iif type vmap { local : drop, unicast : accept }
@th,16,16 53 accept
ip saddr & 255.255.255.0 == 10.0.0.0 drop
ip saddr 1.1.1.1-1.1.1.9 ip protocol vmap { tcp : jump other, udp : drop }
ip6 daddr fd00::1-fd00::9 accept
ip saddr . tcp dport { 1.1.1.1 . 80, 2.2.2.0/24 . 1-10 } accept
ip saddr . tcp dport vmap { 1.1.1.1 . 80 : jump other, 2.2.2.2 . 81 : goto other }
meta l4proto { tcp, udp } th dport 53 accept comment "dns, \\ here"
meta skuid 1000 meta pkttype broadcast drop
ether saddr 00:11:22:33:44:55 vlan id 5 accept
ip dscp af11 return
numgen inc mod 3 vmap { 0 : drop, 1 : accept, 2 : continue }
jhash ip saddr mod 4 seed 0xabc offset 3 vmap { 3 : drop, 4 : accept }
limit rate over 10/minute burst 7 packets drop
"""
PREROUTING = """
tcp dport 80 redirect to :8080
tcp dport 80 dnat ip to 10.0.0.1-10.0.0.5:80
tcp dport 80 dnat ip to 10.0.0.1:80-90 random,persistent
meta l4proto tcp dnat ip to tcp dport map { 80 : 10.0.0.1 . 80 }
tcp dport 80 dnat ip to numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 } : 80
tcp dport 80 dnat ip6 to [fd00::1]:80
dnat ip6 to fd00::1
"""
POSTROUTING = """
meta l4proto tcp snat ip to 1.1.1.1:1000-2000 random,persistent
snat ip to ip saddr map { 1.1.1.1 : 2.2.2.2 }
masquerade random,persistent
meta l4proto tcp masquerade to :1000-2000
"""
SETS = """
    set networks { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1-192.0.2.9, 1.2.3.4 }
    }
    set late { type ipv4_addr . inet_service; timeout 1h; counter; elements = { 1.1.1.1 . 80 comment "hey, you { x" }
    }
    set names { type ifname; elements = { "eth0", "lo" }
    }
    set ports { type ipv4_addr . inet_proto . inet_service; flags interval; elements = { 10.0.0.0/8 . tcp . 1-1000 }
    }
    map to { type ipv4_addr : ipv4_addr . inet_service; counter; elements = { 1.1.1.1 : 2.2.2.2 . 80 }
    }
    map marks { type inet_service : mark; elements = { 80 : 0x10 }
    }
    counter counted { packets 4 bytes 10; }
"""


def _chain(kind: str, hook: str, rules: str) -> str:
    return f"chain {hook} {{\ntype {kind} hook {hook} priority 0; policy drop;\n{rules}\n}}\n"


def _rules(listing: Iterable[Any]) -> list[Any]:
    return [(each["rule"].get("comment", ""), each["rule"]["expr"]) for each in listing if "rule" in each]


def test_statements_are_listed_as_nft_lists_them() -> None:
    chains = _chain("filter", "forward", FORWARD), _chain("nat", "prerouting", PREROUTING)
    last = _chain("nat", "postrouting", POSTROUTING).replace("priority 0", "priority srcnat + 7")
    text, listed = _held("table inet t {\n" + SETS + "chain other {\n}\n" + "".join(chains) + last + "}\n")
    expected, found = json.loads(listed)["nftables"], nft_parse.listing(text)
    for one, other in zip(_rules(expected), _rules(found)):
        assert one == other
    assert len(_rules(expected)) == len(_rules(found))
    for kind in ("set", "map", "chain"):
        theirs, ours = (
            {each[kind]["name"]: _said(each[kind]) for each in some if kind in each} for some in (expected, found)
        )
        assert theirs == ours


def _said(of: dict[str, Any]) -> dict[str, Any]:
    """What is told of a set or a chain, without what grows older between two looks."""
    words = ("family", "table", "type", "hook", "prio", "policy", "elem", "timeout", "map")
    said = {word: of[word] for word in words if word in of}
    for element in said.get("elem", ()):
        if isinstance(element, dict) and "elem" in element:
            element["elem"].pop("expires", None)
    return said


def test_a_packet_of_another_family_meets_no_rule() -> None:
    known, _read = _kube_proxys()
    assert [each.chains.table for each in known.stations(addresses.IPV6)] == ["ip6 kube-proxy"] * 2
