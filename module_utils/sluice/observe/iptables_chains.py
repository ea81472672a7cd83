"""Which chain of iptables leads to which."""

from __future__ import annotations

from collections.abc import Iterator

from ..backends.iptables.ownership import is_ours
from .iptables_rules import Tables, target_name

BUILT_IN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")

EXTENSIONS = frozenset(
    (
        *("ACCEPT", "AUDIT", "CHECKSUM", "CLASSIFY", "CLUSTERIP", "CONNMARK", "CONNSECMARK", "CT", "DNAT", "DNPT"),
        *("DROP", "DSCP", "ECN", "HL", "HMARK", "IDLETIMER", "LED", "LOG", "MARK", "MASQUERADE", "NETMAP", "NFLOG"),
        *("NFQUEUE", "NOTRACK", "QUEUE", "RATEEST", "REDIRECT", "REJECT", "RETURN", "SECMARK", "SET", "SNAT", "SNPT"),
        *("SYNPROXY", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TPROXY", "TRACE", "TTL", "ULOG"),
    )
)
"""The targets that are no chains (iptables-extensions(8))."""


class Jumps:
    """The targets of all rules, by table and chain, as rules stand there; ``""`` for a rule without one."""

    def __init__(self, tables: Tables) -> None:
        self.targets = {
            table: {chain: list(map(target_name, rules)) for chain, rules in chains.items()}
            for table, chains in tables.rules.items()
        }

    def of(self, table: str, chain: str) -> list[str]:
        return self.targets.get(table, {}).get(chain, [])

    def jumped_to(self, table: str) -> set[str]:
        """Every chain that some rule of the table leads to."""
        return {target for targets in self.targets.get(table, {}).values() for target in targets}

    def reaches(self, table: str, start: str, end: str) -> bool:
        """Whether ``start`` leads to ``end``: itself, or by chains of others."""
        return end in self._from(table, start)

    def _from(self, table: str, start: str) -> Iterator[str]:
        seen, waiting = set(), [start]
        while waiting:
            for target in self.of(table, waiting.pop()):
                if target not in seen:
                    seen.add(target)
                    yield target
                    if not is_ours(target):
                        waiting.append(target)
