"""The UDP front ends that a rule set of iptables has: what clients send to, and the endpoints behind it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from ..interface import Frontend, Frontends
from .ownership import target_of
from .plan import ChainChange
from .text import HOST_PORTS_CHAIN, PREFIX_CHAINS, RuleSet

DISPATCH = ("KUBE-SERVICES", "KUBE-NODEPORTS", HOST_PORTS_CHAIN)
_ASKED = ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES")
DESTINATION = re.compile(r"(?:^| )-d ([^ /]+)/")
PORT = re.compile(r" --dport (\d+)")
DNAT = re.compile(r"-j DNAT --to-destination \[?([^\]]+?)\]?:(\d+)$")


def touches_udp(changes: Iterable[ChainChange]) -> bool:
    """Whether a change is about UDP at all; most are not, and then nothing has to be looked at."""
    return any(
        rule.startswith("-p udp ") or " -p udp " in rule for change in changes for rule in change.removed + change.added
    )


def service_addresses(rules: RuleSet) -> list[str]:
    """The addresses of Services that a rule set serves or refuses, whichever release of a kube-proxy made it."""
    found: dict[str, None] = {}
    for chains in rules.values():
        for rule in itertools.chain(*(held for chain, held in chains.items() if chain in _ASKED)):
            destination = DESTINATION.search(rule.replace("! -d", ""))
            if destination and PORT.search(rule):
                found.setdefault(destination.group(1))
    return list(found)


def frontends(rules: RuleSet) -> Frontends:
    """The UDP front ends of a rule set."""
    nat = rules.get("nat", {})
    found: Frontends = {}
    for chain, held in nat.items():
        if chain not in DISPATCH and not chain.startswith(PREFIX_CHAINS):
            continue
        for rule in held:
            port = PORT.search(rule)
            if port and "-p udp " in rule:
                destination = DESTINATION.search(rule.replace("! -d", ""))
                frontend = Frontend(destination.group(1) if destination else "", int(port.group(1)))
                found.setdefault(frontend, set()).update(_endpoints(nat, target_of(rule)))
    return found


def _endpoints(nat: dict[str, list[str]], chain: str, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, int]]:
    for rule in nat.get(chain, ()) if chain not in seen else ():
        dnat = DNAT.search(rule)
        if dnat:
            yield dnat.group(1), int(dnat.group(2))
        else:
            yield from _endpoints(nat, target_of(rule), seen | {chain})
