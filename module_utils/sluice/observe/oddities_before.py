"""Somebody's rule before ours: what drops, accepts or rewrites a Service's packets before our chains see them."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from .. import addresses
from .iptables_chains import BUILT_IN, Jumps
from .iptables_rules import Match, Tables, Target, taken_apart
from .oddity import Oddity
from .rule_counts import OURS
from .service_ports import IPVS, ServicePort
from .services import ways_in
from .snapshot import Snapshot

_HOOKS = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "OUTPUT"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}
_NOT_BEFORE = ("KUBE-FIREWALL", "KUBE-HOSTPORTS")
"""Chains that others append, behind whatever is there."""

_REWRITING = ("DNAT", "REDIRECT", "NETMAP", "TPROXY")
BRIDGES = ("lo", "docker", "br-", "virbr", "lxcbr", "lxdbr", "tailscale")
"""Interfaces of programs that bring rules for them of their own."""

_WORKLOADS = ("cali",)
"""Those that a program has made for Pods, of which it knows each."""

_SOURCES = ("-s", "-i", "-o", "--src-range", "--src-type", "--limit", "--limit-burst", "--sport", "--sports")
"""What makes a rule one for some packets only, so that it may be meant."""

_DESTINATIONS = ("-d", "-p", "--dport", "--dports", "--dst-type", "--ctstate", "--state", "--ctstatus")

_DEEPEST = 8

_Way = tuple[str, int, str]
"""Address, port and protocol; no address for a node port where nobody said which the node has."""


class _Rule(NamedTuple):
    """A rule that ends a packet's way through a chain, with what the jumps to it ask besides."""

    place: str
    text: str
    matches: Sequence[Match]
    target: Target
    accepted: Sequence[Sequence[Match]] = ()
    """What rules ask that have let packets pass before."""


def found(
    tables: Tables, jumps: Jumps, where: str, ports: Sequence[ServicePort], snapshot: Snapshot
) -> Iterator[Oddity]:
    """Those of one ``iptables-save``; ``ports``: the Services of its address family."""
    if not ports:
        return
    ways = _Ways(ports, snapshot)
    answering = _answering(tables)
    clients: dict[tuple[str, str, str, str], list[Oddity]] = {}
    for table, hooks in _HOOKS.items():
        for hook in hooks:
            for rule in _before(tables, jumps, table, hook):
                if table == "raw" and _is_for_one_here(rule, answering | ways.own):
                    continue
                oddity = _judged(rule, table, hook, ways, where)
                if oddity and oddity.hurts:
                    yield oddity
                elif oddity:
                    chain = rule.place.partition(" rule ")[0]
                    clients.setdefault((table, hook, chain, rule.target.name), []).append(oddity)
    for alike in clients.values():
        more = f" and {len(alike) - 1} more of the chain" if len(alike) > 1 else ""
        yield alike[0]._replace(where=alike[0].where + more)


def _answering(tables: Tables) -> set[str]:
    """Addresses whose answers a rule leaves untracked where the node sends: a program on the node itself has them, such
    as a cache of DNS at the cluster IP of what it asks."""
    found: set[str] = set()
    for text in tables.chain("raw", "OUTPUT") or ():
        matches, target = taken_apart(text)
        if _is_untracking(target):
            found.update(match.words[0].partition("/")[0] for match in matches if match.option == "-s")
    return found


def _is_untracking(target: Target) -> bool:
    return target.name == "NOTRACK" or (target.name == "CT" and "--notrack" in target.options)


def _is_for_one_here(rule: _Rule, own: Iterable[str]) -> bool:
    """Whether a rule leaves untracked what is for an address of the node, or from there."""
    named = [match.words[0].partition("/")[0] for match in rule.matches if match.option in ("-d", "-s")]
    return _is_untracking(rule.target) and bool(named) and any(each in own for each in named)


class _Ways:
    """Where Services are reached, before and after their destination is rewritten."""

    def __init__(self, ports: Sequence[ServicePort], snapshot: Snapshot) -> None:
        own = self.own = snapshot.addresses - snapshot.bound
        self.local = snapshot.addresses
        self.front: dict[_Way, str] = {}
        self.back: dict[_Way, str] = {}
        self.sent: dict[_Way, str] = {}
        self.here: dict[_Way, str] = {}
        self.addresses: set[str] = set()
        for port in ports:
            name = port.name or f"{port.cluster_ip or port.node_port}:{port.port}"
            found = ways_in(port, own)
            if port.node_port and not (port.node_addresses or own):
                found.append(("", port.node_port, port.protocol))
            self.front.update((way, name) for way in found)
            ends = {(*addresses.split_port(text), port.protocol): name for text in port.all_endpoints}
            self.sent.update(ends)
            if port.source != IPVS:  # which sends by OUTPUT, and takes answers alone in FORWARD
                self.back.update(ends)
            self.addresses.update(way[0] for way in found if way[0] not in own)
            # IPVS takes packets in INPUT, as if they were for the node itself.
            self.here.update((way, name) for way in found if port.source == IPVS)
            self.here.update({way: name for way, name in ends.items() if way[0] in own})

    def of(self, table: str, hook: str) -> dict[_Way, str]:
        """What packets of Services are for where they meet rules."""
        if hook == "INPUT":
            return self.here
        if hook == "FORWARD":
            return self.back
        # nat comes behind raw and mangle in OUTPUT, and before filter.
        return self.sent if hook == "OUTPUT" and table == "filter" else self.front


def _before(tables: Tables, jumps: Jumps, table: str, hook: str) -> Iterator[_Rule]:
    targets = jumps.of(table, hook)
    ours = [at for at, target in enumerate(targets) if target.startswith(OURS) and target not in _NOT_BEFORE]
    rules = tables.chain(table, hook) or ()
    # Tables that come earlier have nothing of ours in them, as a rule: all of their rules are before.
    end = ours[-1] if ours else len(rules) if table in ("raw", "mangle") else 0
    yield from _ends(tables, jumps, table, hook, (), end, 0, [])


def _ends(
    tables: Tables,
    jumps: Jumps,
    table: str,
    chain: str,
    asked: Sequence[Match],
    end: int,
    depth: int,
    accepted: list[Sequence[Match]],
) -> Iterator[_Rule]:
    """The rules of a chain, up to the one with the number ``end``, and of the chains that they lead to.

    ``accepted`` gets what rules ask that let packets pass.
    """
    rules = tables.chain(table, chain) or ()
    targets = jumps.of(table, chain)
    parted = False  # whether some packets have left the chain already
    for number in range(end):
        target = targets[number]
        if target.startswith(OURS) or not target:
            continue
        matches, taken = taken_apart(rules[number])
        if tables.chain(table, target) is not None:
            if depth < _DEEPEST:
                inner = len(tables.chain(table, target) or ())
                yield from _ends(tables, jumps, table, target, (*asked, *matches), inner, depth + 1, accepted)
            parted |= taken.goto
        elif target in ("ACCEPT", "DROP", "REJECT", "CT", "NOTRACK", *_REWRITING) or (
            target == "RETURN" and chain in BUILT_IN
        ):
            every = (*asked, *matches)
            if not (parted and chain not in BUILT_IN and not _asks_where(every)):
                yield _Rule(f"{chain} rule {number + 1}", rules[number], every, taken, tuple(accepted))
            if target == "ACCEPT" and all(match.option in _DESTINATIONS for match in every):
                accepted.append(every)
        parted |= target in ("ACCEPT", "RETURN")


def _asks_where(matches: Iterable[Match]) -> bool:
    return any(match.option in ("-d", "--dport", "--dports") for match in matches)


def _judged(rule: _Rule, table: str, hook: str, ways: _Ways, where: str) -> Oddity | None:
    target = rule.target.name
    if target == "CT" and "--notrack" not in rule.target.options:
        return None
    if target in ("ACCEPT", "RETURN") and table != "nat":
        return None  # it may pass sooner; what is refused or fenced is not what such a rule is for
    words = {"NEW", "DNAT"} if table == "filter" and hook != "INPUT" else {"NEW"}
    if any(_is_never(match, words, ways) or not _is_known(match) for match in rule.matches):
        return None
    for_some = any(match.option in _SOURCES for match in rule.matches)
    passed = (
        []
        if table != "filter"
        else [each for each in rule.accepted if not any(_is_never(match, words, ways) for match in each)]
    )
    whom = _whom(rule.matches, ways.of(table, hook), ways.local, passed)
    if whom is None:
        return None
    effect = {
        "DROP": f"packets of {whom} are dropped",
        "REJECT": f"packets of {whom} are refused",
        "ACCEPT": f"packets of {whom} do not come to our chains: no endpoint gets them",
        "RETURN": f"packets of {whom} do not come to our chains: no endpoint gets them",
        "CT": f"packets of {whom} are not tracked, so nothing can rewrite their destination",
        "NOTRACK": f"packets of {whom} are not tracked, so nothing can rewrite their destination",
    }.get(target, f"packets of {whom} are sent elsewhere, and our chains do not see them")
    return Oddity(
        f"a rule of somebody else before ours: {target}",
        f"{where} {table} {hook}: {rule.place}: {rule.text}",
        f"{effect}, if they are of the clients that it names" if for_some else effect,
        "put it behind the jump to our chain, or have it leave out the addresses of Services",
        not for_some,
    )


def _is_never(match: Match, words: set[str], ways: _Ways) -> bool:
    """Whether no first packet of a client's connection to a Service meets it; ``words`` are conntrack's for that."""
    if match.option in ("--ctstate", "--state", "--ctstatus"):
        return words.isdisjoint(match.words[0].split(",")) != match.negated
    if match.option in ("-i", "-o"):
        return match.words[0].startswith((*BRIDGES, *_WORKLOADS)) and not match.negated
    if match.option == "-s" and not match.negated:  # no client has the address of a Service
        return match.words[0].partition("/")[0] in ways.addresses
    return False


def _is_known(match: Match) -> bool:
    """What a rule asks that is not known here is taken to keep it away from Services."""
    return match.option in _DESTINATIONS or match.option in _SOURCES


def _whom(
    matches: Sequence[Match], ways: dict[_Way, str], local: Container[str], passed: Sequence[Sequence[Match]]
) -> str | None:
    """The Services whose packets meet this, in words; None where there are none.

    ``passed``: what others ask that have let packets pass before.
    """
    if not ways:
        return None
    if not passed and not _asks_where(matches) and not any(match.option in ("-p", "--dst-type") for match in matches):
        return "all Services"
    names = dict.fromkeys(
        name
        for way, name in ways.items()
        if all(_meets(match, way, local) for match in matches)
        and not any(all(_meets(match, way, local) for match in each) for each in passed)
    )
    if not names:
        return None
    first = next(iter(names))
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"


def _meets(match: Match, way: _Way, local: Container[str]) -> bool:
    address, port, protocol = way
    if match.option == "-d":
        said = bool(address) and _has(match.words[0], address)
    elif match.option in ("--dport", "--dports"):
        said = any(low <= port <= high for low, high in _ranges(match.words[0]))
    elif match.option == "-p":
        said = match.words[0] in (protocol, "all")
    elif match.option == "--dst-type":
        is_local = not address or address in local
        said = any(is_local if kind == "LOCAL" else kind == "UNICAST" and not is_local for kind in _kinds(match))
    else:
        return True
    return said != match.negated


def _kinds(match: Match) -> list[str]:
    return match.words[0].split(",")


@functools.lru_cache(maxsize=1024)
def _network(text: str) -> tuple[int, int, int]:
    found = ipaddress.ip_network(text, strict=False)
    return found.version, int(found.network_address), int(found.broadcast_address)


@functools.lru_cache(maxsize=1 << 17)
def _number(address: str) -> tuple[int, int]:
    found = ipaddress.ip_address(address)
    return found.version, int(found)


def _has(network: str, address: str) -> bool:
    version, low, high = _network(network)
    of, number = _number(address)
    return version == of and low <= number <= high


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(","):
        low, colon, high = part.partition(":")
        yield int(low or 0), int(high or 65535 if colon else low)
