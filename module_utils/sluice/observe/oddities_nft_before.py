"""Rules and policies of others in nftables that drop, refuse or rewrite a Service's packets.

A rule that asks what no dump tells (interfaces, as a rule) may take a packet or not: it goes both ways then, and what
only some of them end in is not said to hurt.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from .. import addresses
from .hooks import FORWARD, INPUT, OUTPUT, PREROUTING, Station
from .nftables import Rule, Table, stations
from .oddity import Oddity, few
from .packets import ELSEWHERE, Node, Packet, State
from .service_ports import IPVS, ServicePort
from .services import ways_in
from .services_flat import has
from .services_nftables import TABLE
from .snapshot import Snapshot
from .walk import ACCEPT, Chains, CircleError, Met, Walker, walk

_ENDS = ("drop", "reject", "dnat", "redirect")
_REWRITTEN = -100
"""The priority at which kube-proxy rewrites destinations; what comes behind sees endpoints."""

_UNTOLD = "no dump tells"
_LOOPBACK = "lo"
_BELOW = ("th", "ip", "ip6", "ether")
"""Whose fields a packet has, whatever its protocol."""


class _Ended(NamedTuple):
    """What ends a packet's way: the verdict, the chain, the rule or policy; ``surely``: by whatever way it comes."""

    verdict: str
    chain: str
    rule: str
    surely: bool


def found(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """Those of a node: of each base chain what it does to Services' packets, whose clients it does not name."""
    for table in snapshot.nftables:
        if has(table) or table.name == TABLE or table.is_of_iptables:
            continue
        if not _has_ends(table.rules) and not any(base.get("policy") == "drop" for base in table.base):
            continue
        for family in addresses.FAMILIES:
            own = [port for port in ports if port.family == family]
            for station in stations([table], family) if own else ():
                yield from _of_station(station, table, own, snapshot)


def _has_ends(of: Any) -> bool:
    """Whether any rule ends a packet's way."""
    if isinstance(of, dict):
        return any(kind in _ENDS or _has_ends(inner) for kind, inner in of.items())
    return isinstance(of, list) and any(map(_has_ends, of))


def _of_station(station: Station, table: Table, ports: Sequence[ServicePort], snapshot: Snapshot) -> Iterator[Oddity]:
    by_rule: dict[_Ended, dict[str, None]] = {}
    either = Chains(station.chains.table, functools.lru_cache(maxsize=None)(lambda name: _either(table, name)))
    for port in ports:
        for state in _asked(station, port, snapshot):
            for ended in _ended(station, either, state):
                by_rule.setdefault(ended, {})[port.name or addresses.host_port(*state.packet[:2])] = None
    for ended, names in by_rule.items():
        said = {"drop": "dropped", "reject": "refused"}.get(
            ended.verdict, "sent elsewhere, and our chains do not see them"
        )
        unless = "" if ended.surely else ", unless other rules take them before"
        of = "policy" if ended.rule.startswith("policy ") else "rule"
        yield Oddity(
            f"a {of} of somebody else in nftables: {ended.verdict}",
            f"nftables {station.chains.table} {ended.chain}: {ended.rule}",
            f"packets of {few(list(names))} are {said}{unless}",
            "have it leave out the addresses of Services and their endpoints (ct status dnat accept)",
            ended.surely,
        )


def _asked(station: Station, port: ServicePort, snapshot: Snapshot) -> Iterator[State]:
    """The first packets of a Service's connections as they come to a chain.

    What virtual servers send on goes by OUTPUT, and conntrack does not know it for rewritten there.
    """
    hook, is_ipvs = station.hook, port.source == IPVS
    rewrites = hook in (PREROUTING, OUTPUT)
    is_first = rewrites and (is_ipvs or station.priority <= _REWRITTEN)
    if is_first or (hook == INPUT and is_ipvs):
        for way in ways_in(port, snapshot.addresses - snapshot.bound):
            node = Node({*snapshot.addresses, way[0]}) if is_ipvs else snapshot.node
            if hook != INPUT or not addresses.is_loopback(way[0]):  # to which no other host sends
                yield State(Packet(*way), node)
    if (hook != OUTPUT) if is_ipvs else (is_first or station.is_nat):
        return
    words = {"NEW"} if is_ipvs else {"NEW", "DNAT"}
    for text in port.all_endpoints:
        state = State(Packet(*addresses.split_port(text), port.protocol), snapshot.node)
        if rewrites or (hook in (FORWARD, INPUT) and state.is_here == (hook == INPUT)):
            yield state._replace(connection=frozenset(words))


def _ended(station: Station, either: Chains, state: State) -> Iterator[_Ended]:
    """What ends a packet's way there. Of policies only those that no rule may come before."""
    plain = list(_ends(station, station.chains, state))
    if not plain:
        return
    all_ways = list(_ends(station, either, state))
    surely = bool(all_ways) and sum(end.probability for end in all_ways) == 1
    # What chance alone decides hurts as well: it does not hang on what is not told.
    surely |= sum(end.probability for end in plain) == sum(end.probability for end in all_ways)
    for end, trail in ((each, each.trail) for each in plain):
        if trail is None:
            continue  # it met no rule
        step = trail.step
        if surely or not step.rule.startswith("policy "):
            yield _Ended(end.verdict if end.verdict != ACCEPT else "dnat", step.chain, step.rule, surely)


def _ends(station: Station, chains: Chains, state: State) -> Iterator[Walker]:
    """Where a packet is dropped, refused or sent elsewhere."""
    start = Walker(ACCEPT, state, Fraction(1))
    try:
        ends = list(walk(chains, station.chain, station.policy, start))
    except CircleError:
        return
    for end in ends:
        if end.trail is not None and (end.verdict != ACCEPT or end.state.endpoint):
            yield end


class _Either:
    """A rule that takes half of the packets where no dump tells whether it does."""

    def __init__(self, statements: Sequence[Any], table: Table) -> None:
        self._statements = statements
        self._table = table
        self._rule = Rule(statements, table)

    @property
    def text(self) -> str:
        return self._rule.text

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        found, why_not = self._rule.meet(state)
        if found:
            return found, why_not
        known = []
        for statement in self._statements:
            said, why = Rule([statement], self._table).meet(state)
            if said:
                known.append(statement)
            elif not self._is_open(statement, why, state):
                return (), why
        taken, _why = Rule(known, self._table).meet(state)
        return [Met(each.chance / 2, each.why, each.act) for each in taken], why_not

    @staticmethod
    def _is_open(statement: Any, why: str, state: State) -> bool:
        """Whether a packet may match for all that: nobody said where it is from, or by which interface."""
        asked = statement.get("match")
        if not asked:
            return why.startswith(_UNTOLD)
        if asked["right"] == _LOOPBACK:
            return False  # no packet of another host comes by it, and the node's to itself are not asked of here
        payload = asked["left"].get("payload", {}) if isinstance(asked["left"], dict) else {}
        if payload.get("field") == "saddr" and state.packet.source == ELSEWHERE:
            return bool(payload.get("protocol") == ("ip" if state.packet.family == addresses.IPV4 else "ip6"))
        protocol = payload.get("protocol", state.packet.protocol)
        return why.startswith(_UNTOLD) and protocol in (state.packet.protocol, *_BELOW)


def _either(table: Table, name: str) -> Sequence[_Either] | None:
    rules = table.rules.get(name)
    return None if rules is None else [_Either(statements, table) for statements in rules]
