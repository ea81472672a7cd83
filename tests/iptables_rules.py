"""The iptables rules of one Service ``shop/web``, in a form that can be read.

A comment is its text in quotes, a chain's name has the endpoint instead of its hash.
"""

from __future__ import annotations

import re
from typing import Any

from support import endpoint, endpoint_slice, rules, service

from sluice import names
from sluice.backends.iptables.text import RuleSet

CIDR = {"cluster_cidrs": ["10.244.0.0/16"]}
OLD, NEW = {"compat": "1.20"}, {"compat": "1.36"}
LB: dict[str, Any] = {"type": "LoadBalancer", "ingress": ["192.0.2.1"]}
LOCAL: dict[str, Any] = {"externalTrafficPolicy": "Local"}
NODE_PORT = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
HERE, THERE = "10.244.1.1", "10.244.2.1"
BOTH = endpoint_slice(endpoint(HERE, "node1"), endpoint(THERE, "node2"))
ONLY_THERE = endpoint_slice(endpoint(THERE, "node2"))
PREFIXES = ("SVC", "SVL", "EXT", "FW", "XLB")
LAST = '"kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
ALL_LOCAL = "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
REJECT = "-j REJECT --reject-with icmp-port-unreachable"
RANGES: dict[str, Any] = {"loadBalancerSourceRanges": ["203.0.113.0/24", "10.0.0.0/24"]}


def shortened(found: RuleSet, port: str = "shop/web", protocol: str = "tcp", ends: tuple[str, ...] = ()) -> RuleSet:
    """``found`` with names and comments that can be read."""
    known = {names.chain_name(f"KUBE-{prefix}-", port, protocol): f"KUBE-{prefix}" for prefix in PREFIXES}
    for end in ends or (f"{HERE}:8080", f"{THERE}:8080"):
        known[names.chain_name("KUBE-SEP-", port, protocol, end)] = f"KUBE-SEP-{end}"

    def short(text: str) -> str:
        text = re.sub(r"KUBE-[A-Z]+-[A-Z2-7]{16}", lambda match: known.get(match[0], match[0]), text)
        return re.sub(r"-m comment --comment (\"[^\"]*\")", r"\1", text)

    return {
        table: {short(chain): [short(rule) for rule in lines] for chain, lines in chains.items()}
        for table, chains in found.items()
    }


def web(spec: dict[str, Any], *slices: dict[str, Any], **variables: Any) -> RuleSet:
    """The rules of one Service and its slices."""
    return shortened(rules(service(**spec), *slices, **variables))


def of_web(found: RuleSet, table: str, chain: str) -> list[str]:
    """The rules of one Service in a chain that all share."""
    return [rule for rule in found[table].get(chain, []) if '"shop/web' in rule]


def chains_of_services(found: RuleSet) -> set[str]:
    return {chain for chain in found["nat"] if re.match(r"KUBE-(SVC|SVL|EXT|FW|XLB|SEP)", chain)}


def balanced(found: RuleSet, chain: str = "KUBE-SVC") -> list[str]:
    """The endpoints that a chain leads to."""
    return [rule.rpartition("KUBE-SEP-")[2] for rule in found["nat"].get(chain, []) if "KUBE-SEP-" in rule]
