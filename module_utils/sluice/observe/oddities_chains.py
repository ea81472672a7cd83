"""Oddities of single chains: jumps to nowhere, chains that nobody jumps to, endpoints that do not get their share."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from .iptables_chains import BUILT_IN, EXTENSIONS, Jumps
from .iptables_rules import Tables
from .oddity import Oddity, few
from .rule_counts import OURS
from .services_iptables import cascade, chooses, shares_of

_PER_SERVICE = re.compile(r"KUBE-(SVC|SVL|EXT|FW|SEP|PFX)-")

_ROUNDED = Fraction(1, 10**9)
"""How far the kernel's 31 bits and kube-proxy's ten digits are from what is meant."""

_MASQUERADED = "KUBE-MARK-MASQ"


def found(tables: Tables, jumps: Jumps, where: str) -> Iterator[Oddity]:
    """Those of one ``iptables-save``."""
    if tables.stray:
        yield Oddity(
            "lines of no table",
            f"{where}: behind COMMIT: {few(tables.stray)}",
            "the dump is damaged: what they say is not known, and iptables-restore takes no such file",
            "dump the rules again (iptables-save)",
            True,
        )
    for table, chains in tables.rules.items():
        if not tables.is_piece:
            yield from _dangling(table, jumps, where)
            yield from _undeclared(table, chains, tables.declared.get(table, set()), where)
            yield from _orphans(table, jumps, where)
        yield from _twice(table, chains, jumps, where)
        if table == "nat":
            for chain, rules in chains.items():
                if chooses(chain):
                    yield from _cascade(chain, rules, jumps, where)
                elif chain.startswith("KUBE-SEP-"):
                    yield from _endpoint(chain, rules, jumps, where)


def _dangling(table: str, jumps: Jumps, where: str) -> Iterator[Oddity]:
    chains = jumps.targets[table]
    missing: dict[str, list[str]] = {}
    known = {"", *chains, *EXTENSIONS}
    for chain, targets in chains.items():
        if known.issuperset(targets):
            continue
        for number, target in enumerate(targets, 1):
            if target and target not in chains and target not in EXTENSIONS:
                missing.setdefault(target, []).append(f"{chain} rule {number}")
    for target, places in missing.items():
        yield Oddity(
            f"jump to a chain that is not there: {target}",
            f"{where} {table}: {few(places)}",
            "the rule does nothing, and packets that it is for go on unchanged; iptables-restore takes no such file",
            "have the proxy write all of its rules anew (sluice apply, or restart kube-proxy)",
            True,
        )


def _undeclared(table: str, chains: Iterable[str], declared: Collection[str], where: str) -> Iterator[Oddity]:
    """Rules of a chain that is not among those that a dump names first. A piece may name none."""
    own = [name for name in chains if name not in declared and name.startswith(OURS)] if declared else []
    if own:
        yield Oddity(
            "rules of a chain that the dump does not list",
            f"{where} {table}: {few(own)}",
            "iptables-restore takes no such file; if the kernel has no such chain, packets go on unchanged",
            "have the proxy write all of its rules anew (sluice apply, or restart kube-proxy)",
            True,
        )


def _twice(table: str, chains: Mapping[str, Sequence[str]], jumps: Jumps, where: str) -> Iterator[Oddity]:
    """Rules of a proxy that stand twice in a chain. Those of KUBE-FW come once for each load balancer's address."""
    twice = []
    for chain, rules in chains.items():
        if len(rules) == len({*rules}) or chain.startswith("KUBE-FW-") or chooses(chain):
            continue
        if chain.startswith(OURS) or any(
            rules.count(text) > 1 and target.startswith(OURS) for text, target in zip(rules, jumps.of(table, chain))
        ):
            twice.append(chain)
    if twice:
        yield Oddity(
            "the same rule twice in a chain",
            f"{where} {table}: {few(twice)}",
            "the second one does nothing, or undoes what the first one did",
            "have the proxy write all of its rules anew (sluice apply, or restart kube-proxy)",
            False,
        )


def _orphans(table: str, jumps: Jumps, where: str) -> Iterator[Oddity]:
    reached = jumps.jumped_to(table)
    orphans = [
        chain
        for chain in jumps.targets[table]
        if chain not in reached and chain not in BUILT_IN and _PER_SERVICE.match(chain)
    ]
    if orphans:
        yield Oddity(
            f"{len(orphans)} chains to which no rule jumps" if len(orphans) > 1 else "chain to which no rule jumps",
            f"{where} {table}: {few(orphans)}",
            "no packet comes there: if its Service is still wanted, an address or an endpoint of it is not served",
            "have the proxy write all of its rules anew; a rest of a Service that is gone does no harm",
            False,
        )


def _cascade(chain: str, rules: Sequence[str], jumps: Jumps, where: str) -> Iterator[Oddity]:
    targets = list(cascade(rules))
    place = f"{where} nat: {chain}"
    if not targets:
        if chain in jumps.jumped_to("nat") and not chain.startswith("KUBE-XLB-"):
            yield Oddity(
                "Service chain without endpoints",
                place,
                "packets leave it with the Service's address, and nobody answers",
                "have the proxy write all of its rules anew",
                True,
            )
        return
    probabilities = tuple(probability for _end, probability in targets)
    ends = [end for end, _probability in targets]
    if _are_even(probabilities) and len({*ends}) == len(ends):
        return
    shares = shares_of(probabilities)
    total = sum(shares)
    if total < 1:
        yield Oddity(
            "endpoints that are chosen by chance, and no last one that is for the rest",
            place,
            f"{1 - total} of all connections go to no endpoint and get no answer",
            "have the proxy write all of its rules anew",
            True,
        )
        return
    yield Oddity(
        "endpoints that do not get the same share",
        place,
        f"{len(targets)} endpoints get {few([str(share.limit_denominator(10**6)) for share in shares], 6)}",
        "kube-proxy shares evenly: have it write all of its rules anew",
        any(share == 0 for share in shares),
    )


@functools.lru_cache(maxsize=4096)
def _are_even(probabilities: tuple[str, ...]) -> bool:
    return all(_is_even(text, len(probabilities) - at) for at, text in enumerate(probabilities))


def _is_even(text: str, left: int) -> bool:
    """Whether a probability is that of one among so many; up to 1.17 kube-proxy wrote five digits."""
    if not text:
        return left == 1
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return False  # what is no probability takes nothing, as in a walk
    return any(abs(value - wanted) <= _ROUNDED for wanted in (Fraction(1, left), Fraction(round(10**5 / left), 10**5)))


def _endpoint(chain: str, rules: Sequence[str], jumps: Jumps, where: str) -> Iterator[Oddity]:
    targets = jumps.of("nat", chain)
    if targets == [_MASQUERADED, "DNAT"]:
        return
    if "DNAT" not in targets:
        yield Oddity(
            "endpoint chain without DNAT",
            f"{where} nat: {chain}",
            "connections that are sent there keep the Service's address, and nobody answers",
            "have the proxy write all of its rules anew",
            True,
        )
    elif _MASQUERADED not in targets[: targets.index("DNAT")]:
        yield Oddity(
            "endpoint chain that does not masquerade the endpoint itself",
            f"{where} nat: {chain} ({len(rules)} rules)",
            "an endpoint that calls its own Service and is sent to itself gets no answer",
            "have the proxy write all of its rules anew",
            True,
        )
