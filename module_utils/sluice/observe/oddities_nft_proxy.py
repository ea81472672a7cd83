"""Oddities of the tables that kube-proxy's nftables mode makes: what a Service lacks, or what leads to another one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..addresses import host_port
from . import oddities_nft_elements, services_nftables
from .nft_values import pattern
from .nftables import Table
from .oddities_nft_elements import CUT, PAST, Lacking
from .oddity import Oddity, few
from .services_nftables import OF_A_SERVICE, destinations, inline, leads_to

_ANEW = "have the proxy write its table anew (sluice apply, or restart kube-proxy)"
_SET = re.compile(r'"@([^"]+)"')
_PART = re.compile(r"(service|local|external|firewall|endpoint)-")

_NOTES = ("made-of",)
"""Sets that Sluice reads, and no packet meets."""

_REACHED = (
    (
        "service-endpoints-check",
        ("input", "forward", "output"),
        "clients of a Service without endpoints are not refused",
    ),
    ("cluster-ips-check", ("forward", "output"), "clients of a port that no Service has wait instead of being refused"),
    ("nodeport-endpoints-check", ("input",), "clients of a node port without endpoints are not refused"),
    ("firewall-check", ("prerouting", "output"), "loadBalancerSourceRanges keep nobody out"),
)

Rules = Mapping[str, Sequence[Any]]


def found(table: Table, where: str) -> Iterator[Oddity]:
    """Those of one table of kube-proxy."""
    reached = {base["name"]: reached_from(table, [base["name"]]) for base in table.base}
    every = {name for names_ in reached.values() for name in names_}
    yield from _hooks(table, reached, where)
    yield from unasked(table, every, where)
    lacking: dict[tuple[str, str], list[str]] = {}
    for what, place, effect in (*_chains(table, every), *oddities_nft_elements.found(table)):
        lacking.setdefault((what, effect), []).append(place)
    for (what, effect), places in lacking.items():
        yield Oddity(what, f"{where}: {few(places)}", effect, _ANEW, True)


def reached_from(table: Table, starts: Iterable[str]) -> set[str]:
    """Every chain that these lead to, by rules and by the maps that rules ask."""
    seen, waiting = set(starts), list(starts)
    while waiting:
        rules = table.rules.get(waiting.pop(), [])
        asked = [table.listed[name].get("elem", []) for name in _SET.findall(json.dumps(rules)) if name in table.listed]
        for each in targets([rules, asked]):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return seen


def targets(of: Any) -> Iterator[str]:
    """Every chain that a verdict somewhere in a listing leads to."""
    if isinstance(of, dict):
        for kind, inner in of.items():
            if kind in ("jump", "goto") and isinstance(inner, dict) and isinstance(inner.get("target"), str):
                yield inner["target"]
            else:
                yield from targets(inner)
    elif isinstance(of, list):
        for inner in of:
            yield from targets(inner)


def unasked(table: Table, reached: Iterable[str], where: str) -> Iterator[Oddity]:
    """Sets and maps with elements that no rule on any packet's way asks for."""
    asked = {name for chain in reached for name in _SET.findall(json.dumps(table.rules.get(chain, [])))}
    idle = [
        name
        for name, of in table.listed.items()
        if of.get("elem") and name not in asked and not name.startswith("affinity-") and name not in _NOTES
    ]
    if idle:
        effect = "what is in it is not served, refused or kept out as it should be"
        yield Oddity("set with elements that no rule asks for", f"{where}: {few(idle)}", effect, _ANEW, True)


def _hooks(table: Table, reached: Mapping[str, set[str]], where: str) -> Iterator[Oddity]:
    for chain, hooks, effect in _REACHED:
        for hook in hooks if chain in table.rules else ():
            if not any(chain in reached[base["name"]] for base in table.base if base["hook"] == hook):
                what = f"no base chain in {hook} leads to {chain}"
                yield Oddity(what, where, effect, _ANEW, chain == "firewall-check")
    masquerading = [rules for rules in table.rules.values() if any(_has(rule, "masquerade") for rule in rules)]
    if masquerading and not any(_is_of_marked(rules) for rules in masquerading):
        effect = "what is marked to be masqueraded is not: answers go past this node"
        yield Oddity("no rule masquerades what is marked", where, effect, _ANEW, True)


def _is_of_marked(rules: Sequence[Any]) -> bool:
    """Whether a chain masquerades by the mark: asked in the rule, or in one before it that sends back the others."""
    before = ""
    for rule in rules:
        before += json.dumps(rule)
        if _has(rule, "masquerade") and '"mark"' in before and "@hairpin" not in json.dumps(rule):
            return True
    return False


def _has(rule: Sequence[Any], kind: str) -> bool:
    return any(kind in statement for statement in rule)


def _chains(table: Table, reached: Iterable[str]) -> Lacking:
    marking = [json.dumps(rule) for rules in table.rules.values() for rule in rules if _is_mark(rule)]
    # Up to 1.30 each Service's chain did it, by its own address.
    inside = [text for text in marking if '"daddr"' in text or '"@cluster-ips"' in text]
    tells = any('"saddr"' in text for text in inside)
    local = [name for name in reached if name.startswith("external-") and '"fib"' in json.dumps(table.rules.get(name))]
    for name in local if tells else ():
        if not any(_asks(rule, "saddr") for rule in table.rules[name]):
            effect = "Pods that call the address are served by this node's endpoints alone, or by nobody"
            yield "no rule by which Pods reach all endpoints", name, effect
    check = json.dumps(table.rules.get("cluster-ips-check", "reject"))
    if "reject" not in check:
        yield "no rule refuses ports that no Service has", "cluster-ips-check", "their clients wait for an answer"
    tells = False
    for name in sorted(reached):
        rules = table.rules.get(name)
        if rules is None:
            continue
        part = _PART.match(name)
        if not rules and (part or name == "reject-chain"):
            yield "chain that leads to no endpoint", name, "packets leave it unchanged, and nobody answers or refuses"
        elif part and part[1] == "external":
            yield from _external(name, rules)
            tells |= any(_asks(rule, "saddr") for rule in rules)
        elif part and part[1] == "endpoint":
            yield from _endpoint(name, rules, table)
        elif part and part[1] in ("service", "local"):
            yield from _choice(name, rules, table)
        if part:
            yield from _named(name, rules)
    if tells and not inside:
        yield "cluster IPs are not masqueraded", "chain services", PAST


def _asks(rule: Sequence[Any], field: str) -> bool:
    return any(each.get("match", {}).get("left", {}).get("payload", {}).get("field") == field for each in rule)


def _is_mark(rule: Sequence[Any]) -> bool:
    return any(map(services_nftables.is_mark, rule))


def _external(name: str, rules: Sequence[Any]) -> Lacking:
    """Policy Cluster marks everybody; policy Local lets Pods and the node itself reach all endpoints, and marks it."""
    plain = any(len(rule) == 1 and leads_to(rule[0]).startswith(("service-", "local-")) for rule in rules)
    if not plain and not any(_asks(rule, "saddr") or "fib" in json.dumps(rule) for rule in rules):
        yield "chain for clients outside that leads to no endpoint", name, "nobody answers them"
    own = [rule for rule in rules if '"fib"' in json.dumps(rule)]
    if own or any(_asks(rule, "saddr") for rule in rules):
        if not any(map(_is_mark, own)):
            yield "what the node itself sends there is not masqueraded", name, PAST
        if not any(leads_to(rule[-1]).startswith("service-") for rule in own):
            effect = "the node itself is served by its own endpoints alone, or by nobody"
            yield "no rule by which the node itself reaches all endpoints", name, effect
    elif not _is_mark(rules[0]):
        last = leads_to(rules[-1][-1]) if rules[-1] else ""
        what = "clients outside are not masqueraded" if last.startswith("service-") else ""
        if what:
            yield what, name, PAST


def _endpoint(name: str, rules: Sequence[Any], table: Table) -> Lacking:
    ends = [text for rule in rules for each in rule if "dnat" in each for text in destinations(each["dnat"])]
    if not ends:
        yield "endpoint chain without dnat", name, "connections that are sent there keep the Service's address"
    said = name.rpartition("__")[2] if "__" in name and not name.endswith(CUT) else ""
    address, _slash, port = said.rpartition("/")
    if (
        ends
        and said
        and ends[0] not in (host_port(address, _number(port)), host_port(address.replace(".", ":"), _number(port)))
    ):
        effect = "connections of the Service go where no endpoint of it is, or to another port of it"
        yield "endpoint chain that sends elsewhere", f"{name} sends to {ends[0]}", effect
    lists = _SET.findall(json.dumps(rules)) or re.findall(r"update @(\S+)", json.dumps(rules))
    own = name.replace("endpoint-", "affinity-", 1)
    if own in table.listed and own not in lists:
        effect = "its clients do not stay with the endpoint that they have"
        yield "endpoint chain that does not write down its clients", name, effect


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _choice(name: str, rules: Sequence[Any], table: Table) -> Lacking:
    """A choice by chance has a slot for each number that may come, and each client of affinity is asked before."""
    chosen: set[str] = set()
    kept: set[str] = set()
    is_chosen = False
    for rule in rules:
        asked = [each for each in _SET.findall(json.dumps(rule)) if each.startswith("affinity-")]
        if asked:
            led = set(targets(rule))
            kept |= led
            effect = "its clients do not stay with the endpoint that they have"
            if led and {each.replace("affinity-", "endpoint-", 1) for each in asked} != led:
                yield "session affinity that leads to another endpoint", name, effect
            if any(each not in table.listed for each in asked):
                yield "session affinity without its list of clients", name, effect
            if is_chosen:
                yield "session affinity that is asked behind the choice by chance", name, effect
            continue
        for size, slots, ends in _draws(rule):
            is_chosen = True
            chosen.update(end for end in ends if end.startswith("endpoint-"))
            if slots != list(range(size)):
                missing = size - len({each for each in slots if each in range(size)})
                effect = f"{missing} of {size} connections go to no endpoint and get no answer"
                if size and not missing:
                    effect = "the endpoints behind those slots get no connections"
                yield (
                    "choice by chance whose numbers are not those of its slots",
                    f"{name}: mod {size}, {len(slots)} slots",
                    effect,
                )
            if len(set(ends)) < len(ends):
                yield "endpoints that do not get the same share", name, "one of them is in several slots"
    others = [rule for rule in rules if "@affinity-" not in json.dumps(rule)]
    if not is_chosen and not any(_has(rule, "dnat") or _ends_somewhere(rule) for rule in others):
        yield "chain that leads to no endpoint", name, "packets leave it unchanged, and nobody answers or refuses"
    if kept and chosen - kept:
        effect = "its clients do not stay with the endpoint that they have"
        yield "endpoint with session affinity to which no rule brings clients back", name, effect


def _ends_somewhere(rule: Sequence[Any]) -> bool:
    return bool(rule) and leads_to(rule[-1]) not in ("", "match")


def _draws(rule: Sequence[Any]) -> Iterator[tuple[int, list[Any], list[str]]]:
    """What a rule chooses by ``numgen``: of how many, the numbers that have a slot, and where those lead."""
    for statement in rule:
        if "vmap" in statement:
            of, is_verdict = statement["vmap"], True
        elif "dnat" in statement and isinstance(statement["dnat"].get("addr"), dict):
            of, is_verdict = statement["dnat"]["addr"].get("map", {}), False
        else:
            continue
        draw = of.get("key", {})
        if isinstance(draw, dict) and "numgen" in draw and isinstance(of.get("data"), dict):
            pairs = list(inline(of["data"]))
            yield (
                draw["numgen"].get("mod", 0),
                sorted((pattern(key) for key, _data in pairs), key=lambda each: (str(type(each)), each)),
                [leads_to(data) if is_verdict else json.dumps(data) for _key, data in pairs],
            )


def _named(name: str, rules: Sequence[Any]) -> Lacking:
    """A chain is named after its Service and protocol."""
    of = OF_A_SERVICE.match(name)
    if not of or name.endswith(CUT):
        return
    protocol = of[3].split("__")[0].split("/")[2:3]
    for rule in rules:
        for each in rule:
            match = each.get("match", {})
            asked = match.get("left", {}).get("meta", {}).get("key") if isinstance(match.get("left"), dict) else None
            if (
                asked == "l4proto"
                and isinstance(match.get("right"), str)
                and protocol
                and match["right"] != protocol[0]
            ):
                effect = "no packet of the Service is of that protocol, so it gets no endpoint"
                yield "chain that asks for another protocol than its Service's", name, effect
