"""A packet's way through netfilter's hooks: which chains it comes to, in which order, and IPVS between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from .. import addresses
from ..backends.ipvs.text import VirtualAddress, VirtualServer
from . import ipvs
from .outcomes import ENDPOINT, PASS, Outcome, Step, gathered
from .packets import INVALID, NEW, UNTRACKED, Node, Packet, State
from .walk import ACCEPT, DROP, REJECT, Chains, Trail, Walker, together, walk

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = "prerouting", "input", "forward", "output", "postrouting"

_LOOPBACK = "::1"
_IPVS_IN, _IPVS_OUT = 98, -98
"""The priorities at which IPVS takes packets in input and in output (ip_vs_core.c of Linux)."""

_TRACKED = -200
"""The priority at which conntrack sees packets in prerouting and output: what comes before may tell it not to."""

Servers = Mapping[VirtualAddress, VirtualServer]
Walkers = list[Walker]


class Station(NamedTuple):
    """A built-in chain of iptables, or a base chain of nf_tables: where it is hooked in, and with what policy.

    ``is_nat``: it sees the first packet of a connection that conntrack follows, and none whose destination (or source)
    another one has rewritten already.
    """

    hook: str
    priority: int
    chain: str
    policy: str
    chains: Chains
    is_nat: bool = False


def trace(stations: Iterable[Station], servers: Servers, packet: Packet, node: Node) -> list[Outcome]:
    """What becomes of a packet. Raises ``walk.CircleError``."""
    way = _Way(sorted(stations, key=lambda each: each.priority), servers)
    start = Walker(ACCEPT, State(packet, node, connection=frozenset({INVALID})), Fraction(1))
    ends = way.from_node(start) if node.has(packet.source) else way.from_outside(start)
    return gathered(map(_outcome, together([*ends, *way.over], _end)))


class _Way:
    """What comes through is returned; ``over`` has what has ended on the way (dropped, refused)."""

    def __init__(self, stations: Sequence[Station], servers: Servers) -> None:
        self._stations = stations
        self._servers = servers
        self.over: Walkers = []

    def from_outside(self, start: Walker) -> Walkers:
        here, away = _parted(self._through(PREROUTING, self._tracked(PREROUTING, start), above=_TRACKED))
        sent, stay = self._balanced(self._through(INPUT, here, below=_IPVS_IN), INPUT)
        left = self._through(POSTROUTING, self._through(FORWARD, away) + sent)
        return left + self._through(INPUT, stay, above=_IPVS_IN)

    def from_node(self, start: Walker) -> Walkers:
        begun = self._tracked(OUTPUT, start)
        sent, others = self._balanced(self._through(OUTPUT, begun, above=_TRACKED, below=_IPVS_OUT), OUTPUT)
        routed = list(self._routed(self._through(OUTPUT, others, above=_IPVS_OUT) + sent))
        here, away = _parted(self._through(POSTROUTING, routed))
        # What the node sends to itself comes in again, by lo, and conntrack knows it by then, or leaves it alone.
        came = self._through(PREROUTING, here, nat=False)
        return away + self._through(INPUT, came, nat=False)

    def _tracked(self, hook: str, start: Walker) -> Walkers:
        """Up to conntrack, and as that leaves it."""
        return [
            each._replace(state=each.state._replace(connection=frozenset({NEW})))
            if INVALID in each.state.connection
            else each
            for each in self._through(hook, [start], below=_TRACKED)
        ]

    def _through(
        self, hook: str, found: Walkers, *, above: int = -(2**31), below: int = 2**31, nat: bool = True
    ) -> Walkers:
        """Through the chains of a hook with priorities from ``above`` up to ``below``."""
        for station in self._stations:
            if station.hook == hook and above <= station.priority < below and (nat or not station.is_nat):
                found = together(self._ends(station, found), lambda each: each.sameness)
        return found

    def _ends(self, station: Station, found: Walkers) -> Iterator[Walker]:
        done = "SNAT" if station.hook in (INPUT, POSTROUTING) else "DNAT"
        for walker in found:
            if station.is_nat and not walker.state.connection.isdisjoint((done, UNTRACKED)):
                yield walker
                continue
            for end in walk(station.chains, station.chain, station.policy, walker):
                if end.verdict == ACCEPT:
                    yield end
                else:
                    self.over.append(end)

    def _routed(self, found: Walkers) -> Iterator[Walker]:
        """Those that are answered: IPv6 has no route_localnet, and an answer of another host to ::1 is dropped."""
        for each in found:
            if each.state.packet.source == _LOOPBACK and not each.state.is_here:
                step = Step("routing", OUTPUT, f"from {_LOOPBACK}", "Linux drops answers of other hosts to there")
                self.over.append(each._replace(verdict=DROP, trail=Trail(each.trail, step)))
            else:
                yield each

    def _balanced(self, found: Walkers, hook: str) -> tuple[Walkers, Walkers]:
        """Those that a virtual server sends away, and those that go on: no one takes them, or it has them sent here."""
        sent: Walkers = []
        others: Walkers = []
        for each in found:
            taken = ipvs.taken_by(self._servers, each.state.packet)
            if taken is None:
                others.append(each)
                continue
            for way in self._scheduled(each, taken):
                why = _why_not_sent(way.state, hook)
                if why:
                    step = Step("ipvs", hook, f"to {way.state.endpoint}", why)
                    self.over.append(way._replace(verdict=DROP, trail=Trail(way.trail, step)))
                else:
                    (others if way.state.is_here else sent).append(way)
        # What it sends away comes to output with its new destination. By then conntrack has it.
        return self._through(OUTPUT, sent, nat=False), others

    def _scheduled(self, walker: Walker, address: VirtualAddress) -> Iterator[Walker]:
        server = self._servers[address]
        name = addresses.host_port(address.address, address.port)
        left = Fraction(1)
        for real, share in ipvs.shares(server):
            left -= share
            rule = f"-a {address.text} -r {real} {server.real[real].text}"
            step = Step("ipvs", name, rule, f"{server.scheduler}: one of {len(server.real)} real servers")
            state = walker.state._replace(virtual=address).sent_to(*addresses.split_port(real))
            yield Walker(ACCEPT, state, walker.probability * share, Trail(walker.trail, step), walker.share)
        if left:
            why = "it has no real server to send to" if left == 1 else "the client's real server has weight 0"
            step = Step("ipvs", name, f"-A {address.text} {server.options}", why)
            refused = walker._replace(verdict=REJECT, probability=walker.probability * left)
            self.over.append(refused._replace(trail=Trail(walker.trail, step)))


def _why_not_sent(state: State, hook: str) -> str:
    """Why Linux drops what a virtual server sends to an endpoint, empty where it does not (ip_vs_xmit.c)."""
    packet = state.packet
    if packet.source and addresses.is_loopback(packet.source) and not state.is_here:
        return "Linux lets nothing from loopback leave by IPVS"
    if hook == INPUT and state.is_here and addresses.is_loopback(packet.destination):
        return "Linux lets nothing from outside in to loopback by IPVS"
    return ""


def _parted(found: Walkers) -> tuple[Walkers, Walkers]:
    """Those whose destination is the node itself, and the others."""
    return [each for each in found if each.state.is_here], [each for each in found if not each.state.is_here]


def _end(walker: Walker) -> tuple[str, str, bool]:
    """What tells ends apart (``outcomes.gathered``)."""
    state, passes = walker.state, walker.verdict == ACCEPT
    return walker.verdict, state.endpoint if passes else "", state.masqueraded and passes


def _outcome(end: Walker) -> Outcome:
    state = end.state
    if end.verdict != ACCEPT:
        return Outcome(end.verdict, "", end.probability, False, end.path)
    return Outcome(ENDPOINT if state.endpoint else PASS, state.endpoint, end.probability, state.masqueraded, end.path)
