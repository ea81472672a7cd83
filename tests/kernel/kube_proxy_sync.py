"""A stand-in for a kube-proxy in iptables mode: how it puts its rules beside what is there, and takes them away again.

What it wants is a rule set, such as a recorded dump of a real one (tests/golden). How it brings the kernel there is
written after what is known of kube-proxy 1.20 and 1.36:

* its own chains and its jumps from built-in chains come by one call of iptables each (``-N``, ``-C``, ``-I``): 1.20 in
  every sync, 1.36 in a full one. A jump that is there already stays where it is;
* then one iptables-restore, with ``--noflush --counters``, writes filter and nat: all of its chains, from 1.20 and in
  a full sync; else the shared chains, and of Services' chains those that changed;
* the same restore empties and removes the chains of nat (``iptables-save -t nat``) whose names begin as those of its
  Services and which it does not want. It knows no others, and none of filter: a chain of somebody else that jumps to
  one of these keeps it there, and the whole restore fails;
* ``kube-proxy --cleanup`` takes out the jumps, then the shared chains that there are and the Services' chains, by one
  restore for each table. KUBE-FIREWALL and KUBE-MARK-DROP are a kubelet's as well and stay; so do KUBE-MARK-MASQ and
  the canaries of 1.20.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import hosts

from sluice.addresses import IPV4
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.ownership import target_of
from sluice.backends.iptables.text import BUILT_IN, NODE_PORTS_COMMENT, RuleSet

GOLDEN = Path(__file__).parent.parent / "golden"
RELEASES = ("1.20", "1.36")
CANARY = "KUBE-PROXY-CANARY"
CANARIES = ("mangle", "nat", "filter")

_OF_SERVICES = {
    "1.20": ("KUBE-SVC-", "KUBE-SEP-", "KUBE-FW-", "KUBE-XLB-"),
    "1.36": ("KUBE-SVC-", "KUBE-SEP-", "KUBE-FW-", "KUBE-EXT-", "KUBE-SVL-", "KUBE-XLB-"),
}
OF_SERVICES = _OF_SERVICES["1.36"]
"""How the names of Services' chains begin."""

_ONLY_MADE = ("KUBE-MARK-DROP",)
"""A kubelet's, for rules to jump to: made where it is not there, and never written."""

_STAY = {
    "1.20": ("KUBE-FIREWALL", "KUBE-MARK-MASQ", *_ONLY_MADE),
    "1.36": ("KUBE-FIREWALL", *_ONLY_MADE),
}
"""What a cleanup leaves."""


def golden(release: str, case: str, family: str = IPV4) -> RuleSet:
    """What a real one programmed in a case of tests/golden."""
    name = f"{case}.rules" if family == IPV4 else f"{case}.rules6"
    return ruleset.parse((GOLDEN / release / "iptables" / name).read_text())


def together(first: RuleSet, *more: RuleSet) -> RuleSet:
    """The rules for the Services of all; of the first one come shared chains' fixed rules and their order."""
    found = {table: {chain: list(rules) for chain, rules in chains.items()} for table, chains in first.items()}
    for other in more:
        for table, chains in other.items():
            for chain, rules in chains.items():
                held = found[table].setdefault(chain, [])
                held += [rule for rule in rules if rule not in held]
    for chains in found.values():
        for rules in chains.values():
            rules.sort(key=lambda rule: NODE_PORTS_COMMENT in rule)
    return found


def as_kube_proxy(rules: RuleSet, frame: RuleSet) -> RuleSet:
    """The linear rules that Sluice has for a catalogue without what only Sluice, or a kubelet, makes.

    ``frame``: a kube-proxy's rules in the same family.
    """

    def is_its(table: str, name: str) -> bool:
        return name in frame[table] or (table == "nat" and name.startswith(OF_SERVICES))

    found: RuleSet = {table: {} for table in frame}
    for table, chains in rules.items():
        for chain, held in chains.items():
            if chain in _ONLY_MADE:
                found[table][chain] = []
            elif chain in BUILT_IN[table]:
                found[table][chain] = [rule for rule in held if is_its(table, target_of(rule))]
            elif is_its(table, chain):
                found[table][chain] = held
    return found


class _Call(NamedTuple):
    """Arguments of iptables."""

    table: str
    words: tuple[str, ...]


class KubeProxy:
    """One that runs on ``node`` and programs one variant of iptables."""

    def __init__(self, node: hosts.Node, variant: str, release: str) -> None:
        self.node, self.variant, self.release = node, variant, release
        self._last: dict[str, RuleSet] = {}

    def sync(self, wanted: Mapping[str, RuleSet]) -> None:
        """Bring each family to what is wanted. Fails where a tool does."""
        for family, rules in wanted.items():
            last = self._last.get(family) if self.release != "1.20" else None
            if last is None:
                for table in CANARIES:
                    self._make(family, table, CANARY)
                self._frame(family, rules)
            self._restore(family, self._input(family, rules, last))
            self._last[family] = rules

    def cleanup(self, families: Iterable[str]) -> None:
        """What ``kube-proxy --cleanup`` does. Fails where a tool does."""
        stay = _STAY[self.release]
        for family in families:
            wanted = self._last[family]
            for table, words in _jumps(wanted):
                if target_of(" ".join(words)) not in stay and self._holds(family, table, words):
                    self._iptables(family, table, "-D", *words)
            for table in ("nat", "filter"):
                there = self.chains(family, table)
                gone = [chain for chain in there if chain in _shared(wanted, table) and chain not in stay]
                gone += [chain for chain in there if table == "nat" and chain.startswith(_OF_SERVICES[self.release])]
                self._restore(family, _text({table: ([f":{chain} - [0:0]" for chain in gone], _removals(gone))}))
            for table in CANARIES if self.release != "1.20" else ():
                self._iptables(family, table, "-F", CANARY)
                self._iptables(family, table, "-X", CANARY)

    def chains(self, family: str, table: str) -> list[str]:
        """The chains of a table now."""
        return list(ruleset.parse(self._run(family, "-save", "-t", table)).get(table, ()))

    def _frame(self, family: str, wanted: RuleSet) -> None:
        for table in wanted:
            for chain in (*_shared(wanted, table), *_ONLY_MADE):
                if chain in wanted[table]:
                    self._make(family, table, chain)
        for table, words in _jumps(wanted):
            if not self._holds(family, table, words):
                self._iptables(family, table, "-I", *words)

    def _input(self, family: str, wanted: RuleSet, last: RuleSet | None) -> str:
        prefixes = _OF_SERVICES[self.release]
        found = {}
        for table in ("filter", "nat"):
            chains = wanted[table]
            written = [
                chain
                for chain in (*_shared(wanted, table), *(each for each in chains if each.startswith(OF_SERVICES)))
                if last is None or not chain.startswith(OF_SERVICES) or last[table].get(chain) != chains[chain]
            ]
            stale = [
                chain
                for chain in (self.chains(family, table) if table == "nat" else ())
                if chain.startswith(prefixes) and chain not in chains
            ]
            rules = [f"-A {chain} {rule}" for chain in written for rule in chains[chain]]
            found[table] = [f":{chain} - [0:0]" for chain in (*written, *stale)], rules + _removals(stale)
        return _text(found)

    def _make(self, family: str, table: str, chain: str) -> None:
        if self._iptables(family, table, "-N", chain, check=False):
            self._iptables(family, table, "-S", chain)  # it was there

    def _holds(self, family: str, table: str, words: Iterable[str]) -> bool:
        return not self._iptables(family, table, "-C", *words, check=False)

    def _iptables(self, family: str, table: str, *words: str, check: bool = True) -> int:
        return self.node.run(self._tool(family), "-w", "5", "-t", table, *words, check=check).returncode

    def _restore(self, family: str, text: str) -> None:
        self._run(family, "-restore", "-w", "5", "--noflush", "--counters", text=text)

    def _run(self, family: str, what: str, *words: str, text: str = "") -> str:
        return self.node.run(self._tool(family) + what, *words, text=text).stdout

    def _tool(self, family: str) -> str:
        return f"{'iptables' if family == IPV4 else 'ip6tables'}-{self.variant}"


def _shared(wanted: RuleSet, table: str) -> list[str]:
    """The chains that there are whatever Services there are, and whose rules it writes."""
    others = (*BUILT_IN[table], *_ONLY_MADE)
    return [chain for chain in wanted[table] if chain not in others and not chain.startswith(OF_SERVICES)]


def _jumps(wanted: RuleSet) -> Iterator[_Call]:
    """Those from built-in chains, in the order in which it puts each before all others."""
    for table, chains in wanted.items():
        for chain in BUILT_IN[table]:
            for rule in reversed(chains.get(chain, [])):
                yield _Call(table, (chain, *shlex.split(rule)))


def _removals(chains: Iterable[str]) -> list[str]:
    return [f"-X {chain}" for chain in chains]


def _text(tables: Mapping[str, tuple[list[str], list[str]]]) -> str:
    return "".join("\n".join([f"*{table}", *made, *rules, "COMMIT", ""]) for table, (made, rules) in tables.items())
