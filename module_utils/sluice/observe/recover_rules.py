"""Rules of a dump, by what they ask and do, for those who look for where they come from. Pure."""

from __future__ import annotations

import functools
from typing import NamedTuple

from .iptables_rules import Match, Tables, Target, comment, taken_apart
from .services_iptables import dispatch


class Rule(NamedTuple):
    """A rule by what it asks and does, and its comment."""

    matches: dict[str, Match]
    target: Target
    comment: str

    def word(self, option: str) -> str:
        found = self.matches.get(option)
        return found.words[0] if found and found.words and not found.negated else ""

    @property
    def destination(self) -> str:
        return self.word("-d").partition("/")[0]

    @property
    def number(self) -> int:
        return int(self.word("--dport") or 0)

    @property
    def outside(self) -> str:
        """The network whose packets it does not match."""
        found = self.matches.get("-s")
        return found.words[0] if found and found.negated else ""


class Rules:
    """The rules of one family's tables."""

    def __init__(self, tables: Tables, family: str) -> None:
        self.tables = tables
        self.family = family
        self._read: dict[tuple[str, str], list[Rule]] = {}

    def has(self, table: str, chain: str) -> bool:
        return self.tables.chain(table, chain) is not None

    def of(self, table: str, chain: str) -> list[Rule]:
        key = table, chain
        if key not in self._read:
            self._read[key] = [rule_of(text) for text in self.tables.chain(table, chain) or ()]
        return self._read[key]

    @functools.cached_property
    def trailing_colon(self) -> bool:
        """Whether ports without a name leave their colon, as up to Kubernetes 1.18."""
        texts = (rule.text for _table, _chain, rule in dispatch(self.tables))
        return any(comment(text).partition(" ")[0].endswith(":") for text in texts)

    def is_layout_ext(self) -> bool:
        """Whether a kube-proxy since 1.24 has made them."""
        chains = self.tables.rules.get("nat", {})
        return self.has("filter", "KUBE-PROXY-FIREWALL") or any(chain.startswith("KUBE-EXT-") for chain in chains)


def rule_of(text: str) -> Rule:
    """A rule of a dump."""
    matches, target = taken_apart(text)
    return Rule({match.option: match for match in matches}, target, comment(text))


def masquerade_bit(rules: Rules) -> dict[str, int]:
    """The setting of the bit that marks what is masqueraded, where it is not the default."""
    for rule in rules.of("nat", "KUBE-MARK-MASQ"):
        options = rule.target.options
        mark = int((options.get("--set-xmark") or options["--or-mark"])[0].partition("/")[0], 16)
        if mark != 1 << 14:
            return {"masquerade_bit": mark.bit_length() - 1}
    return {}
