"""Whose chains and rules are whose, by their names and by the marks beside them; pure."""

from __future__ import annotations

import re

from .text import BUILT_IN, PREFIX_CHAINS, RuleSet

PREFIXES = ("KUBE-", "SLUICE-")
"""The prefixes of our chains. KUBE-* are Kubernetes' names as well: OWNER_CHAIN in a table says that they are ours."""

_SLUICE_ONLY = ("SLUICE-", *PREFIX_CHAINS)
"""Prefixes of chains that nobody else makes: in a table with one of them, what has our names is ours."""

KUBELET_CHAINS = ("KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT")
"""What a kubelet keeps for itself, whoever programs the Services."""

PROXY_CHAIN = "KUBE-PROXY-CANARY"
"""A kube-proxy makes this chain in each table, to see when somebody flushes it. Beside marks of ours it came later."""

KUBE_ROUTER_CHAINS = ("KUBE-ROUTER-", "KUBE-POD-FW-", "KUBE-NWPLCY-")
"""Prefixes of what a kube-router makes, for network policies and for Services of its own."""

_TARGET = re.compile(r"(?:^| )-[jg] (\S+)")


def is_ours(chain: str) -> bool:
    """Whether the chain's name is one that Sluice gives."""
    return chain.startswith(PREFIXES) and not chain.startswith(KUBE_ROUTER_CHAINS) and chain not in KUBELET_CHAINS


def target_of(rule: str) -> str:
    """The target or chain that the rule jumps or goes to; ``""`` where it only matches."""
    found = _TARGET.search(rule.rpartition('"')[2])
    return found.group(1) if found else ""


def owned(kernel: RuleSet) -> RuleSet:
    """The part of a kernel's rules that has our names: chains, and jumps to them from built-in chains."""
    found: RuleSet = {}
    for table, chains in kernel.items():
        mine = {
            chain: rules if is_ours(chain) else [rule for rule in rules if is_ours(target_of(rule))]
            for chain, rules in chains.items()
            if is_ours(chain) or chain in BUILT_IN.get(table, ())
        }
        kept = {chain: rules for chain, rules in mine.items() if rules or is_ours(chain)}
        if kept:
            found[table] = kept
    return found


def leftovers(kernel: RuleSet) -> list[str]:
    """Chains with our names in tables where nothing says that they are ours: a kube-proxy's or a kubelet's."""
    return [
        f"{table}/{chain}"
        for table, chains in kernel.items()
        if PROXY_CHAIN in chains or not any(chain.startswith(_SLUICE_ONLY) for chain in chains)
        for chain in chains
        if (is_ours(chain) and not chain.startswith(_SLUICE_ONLY)) or chain in KUBELET_CHAINS
    ]


def marks(chains: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those of a table that are ours even where all others are a kube-proxy's."""
    return {chain: rules for chain, rules in chains.items() if chain.startswith(_SLUICE_ONLY)}
