"""Rules that no kube-proxy writes, but that stand beside its own on nodes: what ``trace`` says of them, a kernel does.

IP sets with exceptions, what is sent to the node itself (``REDIRECT``), what conntrack is to leave alone (``NOTRACK``,
as a cache of DNS on each node has it). A node's rules are loaded, dumped by the kernel's own tools, and traced from
that. conntrack knows nothing of what it leaves alone: where a packet leaves the rules, a set notes it down.
SLUICE_TRACE_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import hosts
import probes
import pytest
from predictions import Oracle
from probes import NODE, Probe, Stage

from sluice import addresses
from sluice.addresses import FAMILIES, IPV4, IPV6
from sluice.observe import outcomes
from sluice.observe.packets import THE_NODE, Packet
from sluice.observe.snapshot import Snapshot, snapshot

SEED = int(os.environ.get("SLUICE_TRACE_SEED", "0")) or random.randrange(1, 2**32)

HERE, AWAY, NOWHERE = "here", "away", "nowhere"
_TYPES = {IPV4: ("ip", "ipv4_addr"), IPV6: ("ip6", "ipv6_addr")}


def _passage() -> Iterator[str]:
    """Behind all rules of input and postrouting, sets have who went where."""
    yield "add table inet passage"
    for where, hook, only in ((HERE, "input", ""), (AWAY, "postrouting", 'oifname != "lo" ')):
        yield f"add chain inet passage {where} {{ type filter hook {hook} priority 2000; }}"
        for word, kind in _TYPES.values():
            fields = f"inet_proto . {kind} . inet_service . {kind} . inet_service"
            yield f"add set inet passage {where}-{word} {{ type {fields}; flags dynamic; size 65535; }}"
            keys = f"meta l4proto . {word} saddr . th sport . {word} daddr . th dport"
            yield f"add rule inet passage {where} {only}meta l4proto {{ tcp, udp }} add @{where}-{word} {{ {keys} }}"


class Came(NamedTuple):
    """Where a packet has left the rules, and with which destination."""

    where: str
    address: str = ""
    port: int = 0


@pytest.fixture(scope="module")
def stage(needs_root: None) -> Iterator[Stage]:
    with probes.stage() as found:
        found.node.run("nft", "-f", "-", text="\n".join(_passage()))
        yield found


def came(found: Mapping[str, hosts.Host], asked: Sequence[Probe]) -> dict[Probe, Came]:
    """Send each packet once, and look where it has come."""
    node = found["node"]
    node.run("conntrack", "-F", check=False)
    for where in (HERE, AWAY):
        for word, _kind in _TYPES.values():
            node.run("nft", "flush", "set", "inet", "passage", f"{where}-{word}")
    of_host = {name: [probe for probe in asked if probe.host == name] for name in found}
    tasks = {
        name: found[name].start(lambda each=each: probes.send(each, [0] * len(each), 0.3))
        for name, each in of_host.items()
    }  # type: ignore[misc]
    ports = {probe: port for name, task in tasks.items() for probe, (port, _no) in zip(of_host[name], task.answer())}
    noted: dict[tuple[str, str, int], Came] = {}
    for where in (AWAY, HERE):
        for word, _kind in _TYPES.values():
            for protocol, source, source_port, address, port in _elements(node, f"{where}-{word}"):
                noted[str(protocol), str(source), int(source_port)] = Came(where, str(address), int(port))
    return {probe: noted.get((probe.protocol, probe.source, port), Came(NOWHERE)) for probe, port in ports.items()}


def _elements(node: hosts.Host, name: str) -> Iterator[Sequence[str | int]]:
    listed = json.loads(node.run("nft", "-j", "list", "set", "inet", "passage", name).stdout)["nftables"]
    for entry in listed:
        for element in entry.get("set", {}).get("elem", ()):
            yield element.get("elem", {}).get("val", element)["concat"]


def _predicted(held: Snapshot, oracle: Oracle, probe: Probe) -> Came:
    (outcome,) = oracle.outcomes(Packet(probe.address, probe.port, probe.protocol, probe.source))
    if outcome.verdict in (outcomes.DROP, outcomes.REJECT):
        return Came(NOWHERE)
    address, port = addresses.split_port(outcome.endpoint) if outcome.endpoint else (probe.address, probe.port)
    is_here = address == THE_NODE or held.node.has(address)
    return Came(HERE if is_here else AWAY, address, port)


def _faults(found: Mapping[str, hosts.Host], asked: Sequence[Probe]) -> list[str]:
    """Where packets came to another place than is traced. Which address of the node they came to, if a trace knows."""
    node = found["node"]
    dumps = ["iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"]
    dumps += ["ipset save", "ip -o address", "nft -j list ruleset"]
    held = snapshot((dump, node.shell(dump)) for dump in dumps)
    oracle = Oracle(held)
    told = []
    for probe, seen in came(found, asked).items():
        predicted = _predicted(held, oracle, probe)
        if predicted.address == THE_NODE and held.node.has(seen.address):
            predicted = predicted._replace(address=seen.address)
        if predicted != seen:
            told.append(f"{probe}: predicted {tuple(predicted)}, seen {tuple(seen)}")
    return told


@contextlib.contextmanager
def _loaded(stage: Stage, variant: str, family: str, text: str) -> Iterator[None]:
    tool = f"{'iptables' if family == IPV4 else 'ip6tables'}-{variant}"
    stage.node.run(f"{tool}-restore", text=text)
    try:
        yield
    finally:
        for table in ("raw", "nat", "filter"):
            stage.node.shell(
                f"{tool} -t {table} -F; {tool} -t {table} -X; for chain in INPUT FORWARD; do "
                f"[ {table} != filter ] || {tool} -P $chain ACCEPT; done"
            )


_EXCEPTIONS = {
    "hash:net": ("src", "{net}"),
    "hash:net,port": ("src,dst", "{net},tcp:80"),
    "hash:ip,port,net": ("dst,dst,src", "10.96.0.1,tcp:80,{net}"),
}


@pytest.mark.parametrize("kind", _EXCEPTIONS)
def test_exceptions_of_sets(kind: str, variant: str, stage: Stage) -> None:
    print(f"test_trace_ways.py: seed {SEED}", flush=True)
    chance = random.Random(f"{SEED} {kind}")
    directions, form = _EXCEPTIONS[kind]
    node = stage.node
    nets = {
        str(ipaddress.ip_network((chance.choice((0xC6120000, 0xC6138000)) | chance.getrandbits(15), length), False))
        for length in (15, 16, 17, 18, 20, 24, 28, 30, 31, 32)
        for _turn in range(3)
    }
    members = [f"{form.format(net=net)}{chance.choice(('', ' nomatch'))}" for net in sorted(nets)]
    node.run("ipset", "restore", text="\n".join([f"create S {kind}", *(f"add S {each}" for each in members)]) + "\n")
    sources = {str(address) for net in nets for address in _some(chance, ipaddress.ip_network(net))}
    asked = [Probe("client", source, "tcp", "10.96.0.1", port) for source in sorted(sources) for port in (80, 81)]
    rules = f"*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m set --match-set S {directions} -j DROP\nCOMMIT\n"
    try:
        with _loaded(stage, variant, IPV4, rules):
            faults = _faults(stage.found, asked)
            assert not faults, "\n".join([*members, *faults])
    finally:
        node.run("ipset", "destroy", "S")


def _some(chance: random.Random, net: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Iterable[object]:
    """The first address of a network, the last one, some between, and those beside it."""
    first, last = int(net[0]), int(net[-1])
    numbers = {first, last, first - 1, last + 1, *(chance.randint(first, last) for _turn in range(3))}
    return [type(net[0])(number) for number in numbers]


def test_masks_of_sets(variant: str, stage: Stage) -> None:
    stage.node.run("ipset", "restore", text="create S hash:ip netmask 24\nadd S 198.18.1.7\n")
    rules = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m set --match-set S src -j DROP\nCOMMIT\n"
    sources = ("198.18.0.255", "198.18.1.0", "198.18.1.9", "198.18.1.255", "198.18.2.0")
    try:
        with _loaded(stage, variant, IPV4, rules):
            faults = _faults(stage.found, [Probe("client", each, "udp", "10.96.0.1", 80) for each in sources])
            assert not faults, "\n".join(faults)
    finally:
        stage.node.run("ipset", "destroy", "S")


REDIRECTED = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080
-A PREROUTING -p udp -m udp --dport 53 -j REDIRECT
-A OUTPUT -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080
-A OUTPUT -p udp -m udp --dport 53 -j REDIRECT
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 80 -j DROP
-A INPUT -s {dropped} -p tcp -m tcp --dport 8080 -j DROP
COMMIT
"""
OF_NFT = """\
table inet redirected {{
    chain in {{
        type nat hook prerouting priority -100
        tcp dport 80 redirect to :8080
        meta l4proto udp redirect to :udp dport map {{ 53 : 5353, 54 : 5454 }}
    }}
    chain out {{
        type nat hook output priority -100
        tcp dport 80 redirect to :8080
        udp dport 53 redirect
    }}
    chain end {{
        type filter hook input priority 0
        tcp dport 80 drop
        {word} saddr {dropped} tcp dport 8080 drop
    }}
}}
"""
_ASKERS = {
    IPV4: ("198.18.7.7", "203.0.113.77", "10.244.9.9", "10.96.0.1", "10.0.0.77"),
    IPV6: ("2001:db8::7", "2001:db8::8", "fd00:244:9::9", "fd00:96::1", "fd00:10::77"),
}
"""Two clients, an endpoint, and two destinations of nobody here."""


def _to_redirect(family: str, own: Sequence[str]) -> list[Probe]:
    one, other, pod, *nobodys = _ASKERS[family]
    senders = [("client", one), ("client", other), ("pods", pod), ("node", own[0])]
    ways = [("tcp", 80), ("tcp", 81), ("udp", 53), ("udp", 54)]
    return _all(senders, (*nobodys, *own), ways)


def _all(senders: Iterable[tuple[str, str]], places: Iterable[str], ways: Sequence[tuple[str, int]]) -> list[Probe]:
    return [Probe(*sender, kind, to, port) for sender in senders for to in places for kind, port in ways]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_sent_to_the_node_itself(family: str, variant: str, stage: Stage) -> None:
    with _loaded(stage, variant, family, REDIRECTED.format(dropped=_ASKERS[family][1])):
        faults = _faults(stage.found, _to_redirect(family, NODE[family]))
        assert not faults, "\n".join(faults)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_nftables_send_to_the_node_itself(family: str, stage: Stage) -> None:
    word = "ip" if family == IPV4 else "ip6"
    stage.node.run("nft", "-f", "-", text=OF_NFT.format(dropped=_ASKERS[family][1], word=word))
    try:
        faults = _faults(stage.found, _to_redirect(family, NODE[family]))
        assert not faults, "\n".join(faults)
        read = snapshot([("nft", stage.node.shell("nft list ruleset"))]).nftables
        listed = snapshot([("nft", stage.node.shell("nft -j list ruleset"))]).nftables
        of = [next(each for each in tables if each.name == "redirected").rules for tables in (read, listed)]
        assert of[0] == of[1]
    finally:
        stage.node.run("nft", "delete", "table", "inet", "redirected")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_node_with_one_address(family: str, variant: str, needs_root: None) -> None:
    """Of which a trace knows where packets are sent."""
    own, client, other, length = {
        IPV4: ("192.0.2.1", "192.0.2.2", "198.51.100.7", 24),
        IPV6: ("fd00::1", "fd00::2", "2001:db8::7", 64),
    }[family]
    nodad = "" if family == IPV4 else " nodad"
    with hosts.Host("node") as node, hosts.Host("client") as asking:
        asking.ip(f"link add eth0 type veth peer name eth0 netns {node.pid}", "link set eth0 up")
        node.ip("link set eth0 up", f"address add {own}/{length} dev eth0{nodad}", f"route add default via {client}")
        asking.ip(f"address add {client}/{length} dev eth0{nodad}", f"route add default via {own}")
        node.run("nft", "-f", "-", text="\n".join(_passage()))
        tool = f"{'iptables' if family == IPV4 else 'ip6tables'}-{variant}-restore"
        node.run(tool, text=REDIRECTED.format(dropped=other))
        senders = [("client", client), ("node", own)]
        asked = [Probe(*sender, "tcp", to, port) for sender in senders for to in (own, other) for port in (80, 81)]
        found = {"node": node, "client": asking}
        seen = came(found, asked)
        assert seen[asked[2]] == Came(HERE, own, 8080), "a client's, to elsewhere"
        faults = _faults(found, asked)
        assert not faults, "\n".join(faults)


UNTRACKED = """\
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
{raw}COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.244.1.9:53
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 10.244.1.9:53
-A OUTPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.244.1.9:53
-A OUTPUT -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 10.244.1.9:53
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
{filtered}-A INPUT -s 203.0.113.77/32 -m conntrack --ctstate UNTRACKED -j ACCEPT
-A INPUT -m conntrack --ctstate NEW -m tcp -p tcp --dport 54 -j ACCEPT
-A INPUT -m conntrack ! --ctstatus SEEN_REPLY -m udp -p udp --dport 8080 -j ACCEPT
-A FORWARD -s 203.0.113.77/32 -m conntrack --ctstate NEW,RELATED,ESTABLISHED -j DROP
-A FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
"""
CACHED = ("169.254.20.10", "10.96.0.10")
"""The addresses at which such a cache listens: its own, and the one of the cluster's DNS."""


def _cache_rules() -> str:
    """As the cache writes them: both ways, by both protocols."""
    raw, filtered = [], []
    for address in CACHED:
        for protocol in ("udp", "tcp"):
            port = f"-p {protocol} -m {protocol}"
            raw.append(f"-A PREROUTING -d {address}/32 {port} --dport 53 -j CT --notrack")
            raw.append(f"-A OUTPUT -s {address}/32 {port} --sport 53 -j CT --notrack")
            raw.append(f"-A OUTPUT -d {address}/32 {port} --dport 53 -j NOTRACK")
            filtered.append(f"-A INPUT -d {address}/32 {port} --dport 53 -j ACCEPT")
            filtered.append(f"-A OUTPUT -s {address}/32 {port} --sport 53 -j ACCEPT")
        raw.append(f"-A PREROUTING -d {address}/32 -p udp -m udp --dport 8080 -j CT --notrack")
    parts = {"raw": raw, "filtered": filtered}
    return UNTRACKED.format(**{name: "".join(f"{each}\n" for each in part) for name, part in parts.items()})


@pytest.mark.parametrize("bound", [CACHED, CACHED[:1], ()], ids=["both", "its own", "none"])
def test_what_is_not_tracked(bound: Sequence[str], variant: str, stage: Stage) -> None:
    """A cache of DNS on each node, with rules as it writes them: there, without the cluster's address, and away."""
    senders = [("client", each) for each in ("198.18.7.7", "203.0.113.77")]
    senders += [("pods", "10.244.9.9"), ("node", NODE[IPV4][0])]
    ways = [("udp", 53), ("tcp", 53), ("udp", 8080), ("tcp", 54), ("udp", 54)]
    asked = _all(senders, (*CACHED, NODE[IPV4][1]), ways)
    stage.node.ip(*(f"address add {address}/32 dev lo" for address in bound))
    try:
        with _loaded(stage, variant, IPV4, _cache_rules()):
            faults = _faults(stage.found, asked)
            assert not faults, "\n".join(faults)
    finally:
        stage.node.ip(*(f"address delete {address}/32 dev lo" for address in bound))


@pytest.mark.parametrize("priority", [-300, -150])
def test_what_nftables_do_not_track(priority: int, stage: Stage) -> None:
    """Where conntrack has seen a packet before, it goes on to track it."""
    text = f"""
        table ip untracked {{
            chain early {{ type filter hook prerouting priority {priority}; udp dport 53 notrack; }}
            chain own {{ type filter hook output priority {priority}; udp dport 53 notrack; }}
            chain first {{ type filter hook prerouting priority -299; ct state != invalid ip saddr 203.0.113.77 drop; }}
            chain nat {{ type nat hook prerouting priority -100; ip daddr 10.96.0.10 dnat to 10.244.1.9; }}
            chain out {{ type nat hook output priority -100; ip daddr 10.96.0.10 dnat to 10.244.1.9; }}
            chain forward {{
                type filter hook forward priority 0
                ip saddr 198.18.7.7 ct state vmap {{ untracked : drop, new : accept }}
                ct status != dnat drop
            }}
        }}
    """
    senders = [("client", each) for each in ("198.18.7.7", "198.18.7.8", "203.0.113.77")] + [("node", NODE[IPV4][0])]
    asked = _all(senders, CACHED[1:], [("udp", 53), ("udp", 54)])
    stage.node.run("nft", "-f", "-", text=text)
    try:
        faults = _faults(stage.found, asked)
        assert not faults, "\n".join(faults)
    finally:
        stage.node.run("nft", "delete", "table", "ip", "untracked")
