"""Rules of others in nftables that drop, refuse or rewrite a Service's packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from .. import addresses
from .hooks import FORWARD, INPUT, OUTPUT, PREROUTING, Station
from .nftables import stations
from .oddity import Oddity, few
from .packets import Packet, State
from .service_ports import IPVS, ServicePort
from .services import ways_in
from .services_flat import has
from .services_nftables import TABLE
from .snapshot import Snapshot
from .walk import ACCEPT, CircleError, Walker, walk

_ENDS = ("drop", "reject", "dnat", "redirect")
_HOOKS = {PREROUTING: "front", OUTPUT: "front", FORWARD: "back", INPUT: "here"}


def found(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """Those of a node: of each base chain what it does to Services' packets, whose clients it does not name."""
    for table in snapshot.nftables:
        if has(table) or table.name == TABLE or table.is_of_iptables or not _has_ends(table.rules):
            continue
        for family in addresses.FAMILIES:
            own = [port for port in ports if port.family == family]
            for station in stations([table], family) if own else ():
                yield from _of_station(station, own, snapshot)


def _has_ends(of: Any) -> bool:
    """Whether any rule ends a packet's way."""
    if isinstance(of, dict):
        return any(kind in _ENDS or _has_ends(inner) for kind, inner in of.items())
    return isinstance(of, list) and any(map(_has_ends, of))


def _of_station(station: Station, ports: Sequence[ServicePort], snapshot: Snapshot) -> Iterator[Oddity]:
    by_rule: dict[tuple[str, str, str], dict[str, None]] = {}
    own = snapshot.addresses - snapshot.bound
    for port in ports:
        front = [Packet(*way) for way in ways_in(port, own)]
        back = [Packet(*addresses.split_port(text), port.protocol) for text in port.all_endpoints]
        here = front if port.source == IPVS else []
        asked = {"front": front, "back": back, "here": here}.get(_HOOKS.get(station.hook, ""), [])
        for packet in asked:
            for ended in _ended(station, State(packet, snapshot.node)):
                by_rule.setdefault(ended, {})[port.name or packet.destination] = None
    for (verdict, chain, rule), names in by_rule.items():
        said = {"drop": "dropped", "reject": "refused"}.get(verdict, "sent elsewhere, and our chains do not see them")
        yield Oddity(
            f"a rule of somebody else in nftables: {verdict}",
            f"nftables {station.chains.table} {chain}: {rule}",
            f"packets of {few(list(names))} are {said}",
            "have it leave out the addresses of Services and their endpoints",
            True,
        )


def _ended(station: Station, state: State) -> Iterator[tuple[str, str, str]]:
    """The rules that end a packet's way there: what they do, the chain, and the rule. A policy is no rule."""
    start = Walker(ACCEPT, state, Fraction(1))
    try:
        ends = list(walk(station.chains, station.chain, ACCEPT, start))
    except CircleError:
        return
    for end in ends:
        if end.trail is None or (end.verdict == ACCEPT and not end.state.endpoint):
            continue
        step = end.trail.step
        yield end.verdict if end.verdict != ACCEPT else "dnat", step.chain, step.rule
