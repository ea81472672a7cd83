"""What rules of iptables have counted, by where connections come in and by endpoint; pure.

A chain of nat sees the first packet of each connection, and no other one. So the rule of the dispatch that took it
counts connections of an address, and the rule that rewrites the destination those of an endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ... import addresses
from ..interface import NO_COUNT, Count, Counters, Entry
from .frontends import DESTINATION, DISPATCH, DNAT, PORT
from .ownership import target_of
from .text import PREFIX_CHAINS

_SAVED = re.compile(r"^\[(\d+):(\d+)\] -A (KUBE-\S+) (.*)$", re.MULTILINE)
_OF_DISPATCH = re.compile(
    rf"^\[(\d+):(\d+)\] -A ({'|'.join(DISPATCH)}|(?:{'|'.join(PREFIX_CHAINS)})\S+) (.*)$", re.MULTILINE
)
_LISTED = re.compile(r"^-A (KUBE-\S+) (.*) -c (\d+) (\d+)( .*)?$", re.MULTILINE)
_PROTOCOL = re.compile(r"(?:^| )-p (tcp|udp|sctp) ")
_MARKS = ("KUBE-MARK-MASQ", "KUBE-MARK-DROP")
"""Targets that a packet comes back from: the rule behind takes the same one, and counts it."""


def counters(texts: Iterable[str], *, endpoints: bool = True) -> Counters:
    """Those in what ``iptables-save -t nat -c`` printed, of one family and variant each.

    Without ``endpoints`` only rules of the dispatch are read, also as ``iptables -t nat -v -S`` prints them.
    """
    entries: dict[Entry, Count] = {}
    rewritten: dict[tuple[Entry, str], Count] = {}
    for text in texts:
        jumps: dict[str, list[str]] = {}
        ends: dict[str, list[tuple[str, Count]]] = {}
        begun: dict[Entry, list[str]] = {}
        for packets, size, chain, rule in _rules(text, every=endpoints):
            count, target = Count(int(packets), int(packets), int(size)), target_of(rule)
            dnat = DNAT.search(rule) if target == "DNAT" else None
            if chain in DISPATCH or chain.startswith(PREFIX_CHAINS):
                entry = _entry(rule) if target not in _MARKS else None
                if entry:
                    entries[entry] = entries[entry].plus(count) if entry in entries else count
                    begun.setdefault(entry, []).append(target)
            elif dnat:
                ends.setdefault(chain, []).append((addresses.host_port(dnat[1], int(dnat[2])), count))
            else:
                jumps.setdefault(chain, []).append(target)
        seen: set[str] = set()
        for entry, chains in begun.items():
            while chains:
                chain = chains.pop()
                if chain not in seen:
                    seen.add(chain)
                    chains += jumps.get(chain, ())
                    for where, count in ends.get(chain, ()):
                        rewritten[entry, where] = rewritten.get((entry, where), NO_COUNT).plus(count)
    return Counters(entries, rewritten)


def _rules(text: str, *, every: bool) -> Iterable[tuple[str, str, str, str]]:
    """Packets, bytes, chain and what the rule says."""
    if not text.startswith("-"):
        return (_SAVED if every else _OF_DISPATCH).findall(text)
    found = _LISTED.findall(text)
    return [(packets, size, chain, begin + end) for chain, begin, packets, size, end in found]


def _entry(rule: str) -> Entry | None:
    """Where the packets come in that a rule of the dispatch is for; None where it does not lead to one service port."""
    protocol, port = _PROTOCOL.search(rule), PORT.search(rule)
    if not (protocol and port):
        return None
    destination = DESTINATION.search(rule.replace("! -d", ""))
    return Entry(destination[1] if destination else "", protocol[1], int(port[1]))
