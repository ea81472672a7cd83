"""Somebody's rule before ours: what drops, accepts or rewrites a Service's packets before our chains see them."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
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
_BRIDGES = ("lo", "docker", "br-", "virbr", "lxcbr", "lxdbr")
"""Interfaces of programs that bring rules for them of their own."""

_SOURCES = ("-s", "-i", "-o", "--src-range", "--src-type", "--limit", "--limit-burst", "--sport", "--sports")
"""What makes a rule one for some packets only, so that it may be meant."""

_DESTINATIONS = ("-d", "-p", "--dport", "--dports", "--dst-type", "--ctstate", "--state")

_DEEPEST = 8

_Way = tuple[str, int, str]
"""Address, port and protocol; no address for a node port where nobody said which the node has."""


class _Rule(NamedTuple):
    """A rule that ends a packet's way through a chain, with what the jumps to it ask besides."""

    place: str
    text: str
    matches: Sequence[Match]
    target: Target


def found(
    tables: Tables, jumps: Jumps, where: str, ports: Sequence[ServicePort], snapshot: Snapshot
) -> Iterator[Oddity]:
    """Those of one ``iptables-save``; ``ports``: the Services of its address family."""
    if not ports:
        return
    ways = _Ways(ports, snapshot)
    for table, hooks in _HOOKS.items():
        for hook in hooks:
            for rule in _before(tables, jumps, table, hook):
                oddity = _judged(rule, table, hook, ways, where)
                if oddity:
                    yield oddity


class _Ways:
    """Where Services are reached, before and after their destination is rewritten."""

    def __init__(self, ports: Sequence[ServicePort], snapshot: Snapshot) -> None:
        own = snapshot.addresses - snapshot.bound
        self.front: dict[_Way, str] = {}
        self.back: dict[_Way, str] = {}
        self.here: dict[_Way, str] = {}
        for port in ports:
            name = port.name or f"{port.cluster_ip or port.node_port}:{port.port}"
            found = ways_in(port, own)
            if port.node_port and not (port.node_addresses or own):
                found.append(("", port.node_port, port.protocol))
            self.front.update((way, name) for way in found)
            ends = {(*addresses.split_port(text), port.protocol): name for text in port.all_endpoints}
            self.back.update(ends)
            # IPVS takes packets in INPUT, as if they were for the node itself.
            self.here.update((way, name) for way in found if port.source == IPVS)
            self.here.update({way: name for way, name in ends.items() if way[0] in own})

    def of(self, table: str, hook: str) -> dict[_Way, str]:
        """What packets of Services are for where they meet rules."""
        if hook == "INPUT":
            return self.here
        # nat comes behind raw and mangle in OUTPUT, and before filter.
        return self.back if hook == "FORWARD" or (hook == "OUTPUT" and table == "filter") else self.front


def _before(tables: Tables, jumps: Jumps, table: str, hook: str) -> Iterator[_Rule]:
    targets = jumps.of(table, hook)
    ours = [at for at, target in enumerate(targets) if target.startswith(OURS) and target not in _NOT_BEFORE]
    rules = tables.chain(table, hook) or ()
    # Tables that come earlier have nothing of ours in them, as a rule: all of their rules are before.
    end = ours[-1] if ours else len(rules) if table in ("raw", "mangle") else 0
    yield from _ends(tables, jumps, table, hook, (), end, 0)


def _ends(
    tables: Tables, jumps: Jumps, table: str, chain: str, asked: Sequence[Match], end: int, depth: int
) -> Iterator[_Rule]:
    """The rules of a chain, up to the one with the number ``end``, and of the chains that they lead to."""
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
                yield from _ends(tables, jumps, table, target, (*asked, *matches), inner, depth + 1)
        elif target in ("ACCEPT", "DROP", "REJECT", "CT", "NOTRACK", *_REWRITING) or (
            target == "RETURN" and chain in BUILT_IN
        ):
            every = (*asked, *matches)
            if not (parted and chain not in BUILT_IN and not _asks_where(every)):
                yield _Rule(f"{chain} rule {number + 1}", rules[number], every, taken)
        parted |= target in ("ACCEPT", "RETURN")


def _asks_where(matches: Iterable[Match]) -> bool:
    return any(match.option in ("-d", "--dport", "--dports") for match in matches)


def _judged(rule: _Rule, table: str, hook: str, ways: _Ways, where: str) -> Oddity | None:
    target = rule.target.name
    if target == "CT" and "--notrack" not in rule.target.options:
        return None
    if target in ("ACCEPT", "RETURN") and table != "nat":
        return None  # it may pass sooner; what is refused or fenced is not what such a rule is for
    if any(_is_never(match) or not _is_known(match) for match in rule.matches):
        return None
    for_some = any(match.option in _SOURCES for match in rule.matches)
    whom = _whom(rule.matches, ways.of(table, hook))
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


def _is_never(match: Match) -> bool:
    """Whether no first packet of a client's connection to a Service meets it."""
    if match.option in ("--ctstate", "--state"):
        return ("NEW" in match.words[0].split(",")) == match.negated
    if match.option in ("-i", "-o"):
        return match.words[0].startswith(_BRIDGES) and not match.negated
    return False


def _is_known(match: Match) -> bool:
    """What a rule asks that is not known here is taken to keep it away from Services."""
    return match.option in _DESTINATIONS or match.option in _SOURCES


def _whom(matches: Sequence[Match], ways: dict[_Way, str]) -> str | None:
    """The Services whose packets meet this, in words; None where there are none."""
    if not _asks_where(matches) and not any(match.option in ("-p", "--dst-type") for match in matches):
        return "all Services"
    names = dict.fromkeys(name for way, name in ways.items() if all(_meets(match, way) for match in matches))
    if not names:
        return None
    first = next(iter(names))
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"


def _meets(match: Match, way: _Way) -> bool:
    address, port, protocol = way
    if match.option == "-d":
        said = bool(address) and _has(match.words[0], address)
    elif match.option in ("--dport", "--dports"):
        said = any(low <= port <= high for low, high in _ranges(match.words[0]))
    elif match.option == "-p":
        said = match.words[0] in (protocol, "all")
    elif match.option == "--dst-type":
        said = not address if "LOCAL" in match.words[0] else bool(address)
    else:
        return True
    return said != match.negated


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
