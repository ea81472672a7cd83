"""Oddities of the chains of Services' endpoints in iptables: one that sends elsewhere than its name and rules say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from .. import names
from ..backends.iptables.text import PREFIX_CHAINS
from .iptables_rules import Tables, target_name
from .oddities_dispatch import ANEW, ServiceRules
from .oddity import Oddity, few
from .services_iptables import CHOOSING, TO, chooses, destination

_SEP = "KUBE-SEP-"
_JUMP = f" -j {_SEP}"
_SAID = re.compile(r' -> (\S+)" ')
_NAME = re.compile(r" --name (\S+)")
_MASQUERADE = "KUBE-MARK-MASQ"

_Chains = Mapping[str, Sequence[str]]


def found(tables: Tables, services: Sequence[ServiceRules], where: str) -> Iterator[Oddity]:
    """Those of one ``iptables-save``."""
    chains = tables.rules.get("nat", {})
    place = f"{where} nat"
    sent = ((name, destination(rules)) for name, rules in chains.items() if name.startswith(_SEP))
    ends = {name: to for name, to in sent if to}
    yield from _elsewhere(chains, ends, services, place)
    yield from _itself(chains, ends, place)
    yield from _affinity(chains, place)
    yield from _foreign(chains, place)


def _elsewhere(
    chains: _Chains, ends: Mapping[str, str], services: Sequence[ServiceRules], place: str
) -> Iterator[Oddity]:
    """An endpoint's chain is named after its Service, its address and its port; the rule to it may say both."""
    wrong: dict[str, str] = {}
    sure: dict[str, str] = {}
    right = 0
    for service in services:
        if not service.hashed:
            continue
        asked: dict[str, None] = {}
        for part in CHOOSING:
            for text in chains.get(part + service.digest, ()):
                _before, jump, rest = text.rpartition(_JUMP)
                if jump:
                    end = _SEP + rest
                    asked[end] = None
                    said = _SAID.search(text) if " -> " in text else None
                    if said and said[1] != ends.get(end, said[1]):
                        sure[end] = f"{service.name}: {end} is for {said[1]} and sends to {ends[end]}"
        start = service.hashed + service.protocol
        for end in asked:
            to = ends.get(end)
            if not to:
                continue
            if names.is_hash_of(start + to, end[len(_SEP) :]):
                right += 1
            else:
                wrong[end] = f"{service.name}: {end} sends to {to}, and its name was made for something else"
    # Addresses that somebody has changed before showing them do not give the names any more.
    told = {**wrong, **sure} if right > len(wrong) else sure
    if told:
        effect = "connections of the Service go where no endpoint of it is, or to another port of it"
        yield Oddity("endpoint chain that sends elsewhere", f"{place}: {few(list(told.values()))}", effect, ANEW, True)


def _itself(chains: _Chains, ends: Mapping[str, str], place: str) -> Iterator[Oddity]:
    wrong = []
    for name, to in ends.items():
        first = chains[name][0]
        source = first[3:].partition(" ")[0].partition("/")[0] if first.startswith("-s ") else ""
        if source and not to.startswith((f"{source}:", f"[{source}]")) and to != source:
            wrong.append(f"{name} masquerades {source} and sends to {to}")
    if wrong:
        effect = "connections go to the wrong endpoint, or an endpoint that calls its own Service gets no answer"
        yield Oddity("endpoint chain of two endpoints", f"{place}: {few(wrong)}", effect, ANEW, True)


def _affinity(chains: _Chains, place: str) -> Iterator[Oddity]:
    """Each endpoint with session affinity has a list of its clients: who is in it is sent there first."""
    other, late, some, unset = [], [], [], []
    for name, rules in chains.items():
        if not chooses(name) or not any(" --rcheck " in text for text in rules[:4]):
            continue
        asked, chosen = [], []
        for text in rules:
            at = text.rfind(_SEP)
            end = text[at:].partition(" ")[0] if at >= 0 and text[at - 3 : at] == "-j " else ""
            if not end:
                continue
            if " --rcheck " not in text:
                chosen.append(end)
                continue
            asked.append(end)
            list_name = _NAME.search(text)
            sets = next(
                (
                    found[1]
                    for rule in chains.get(end, ())
                    if " --set " in rule
                    for found in [_NAME.search(rule)]
                    if found
                ),
                "",
            )
            if not sets:
                unset.append(end)
            elif list_name and list_name[1] != sets:
                other.append(f"{name} asks for {list_name[1]}, {end} writes {sets}")
            if chosen:
                late.append(name)
        if {*asked} != {*chosen}:
            some.append(name)
    effect = "its clients do not stay with the endpoint that they have"
    for what, places in (
        ("session affinity that asks for another list than it writes", other),
        ("session affinity that is asked behind the choice by chance", late),
        ("endpoint with session affinity to which no rule brings clients back", some),
        ("endpoint chain that does not write down its clients", unset),
    ):
        if places:
            yield Oddity(what, f"{place}: {few(list(dict.fromkeys(places)))}", effect, ANEW, True)


_WRITTEN = {
    "KUBE-SVC-": (_MASQUERADE, _SEP),
    "KUBE-SVL-": (_MASQUERADE, _SEP),
    "KUBE-EXT-": (_MASQUERADE, "KUBE-SVC-", "KUBE-SVL-"),
    "KUBE-XLB-": (_MASQUERADE, "KUBE-SVC-", _SEP, "KUBE-MARK-DROP"),
    "KUBE-SEP-": (_MASQUERADE, "DNAT"),
}
"""Where rules of a Service's chains lead to, by how the chains begin."""


def _foreign(chains: _Chains, place: str) -> Iterator[Oddity]:
    others = []
    for name, rules in chains.items():
        wanted = _WRITTEN.get(name[:9])
        if not wanted or name.startswith(PREFIX_CHAINS):
            continue
        for text in rules:
            if _MASQUERADE in text or _SEP in text or TO in text:
                continue
            target = target_name(text)
            if target and not target.startswith((*wanted, "SLUICE-")) and target not in ("LOG", "NFLOG", "TRACE"):
                others.append(f"{name}: {text}")
    if others:
        effect = "packets of the Service that meet it do not come to the rules behind it"
        what = "a rule in a Service's chain that no proxy writes"
        yield Oddity(what, f"{place}: {few(others)}", effect, f"see who has put it there, and {ANEW}", True)
