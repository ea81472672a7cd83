"""What other programs have in the kernel that keeps packets from Services, whatever our tables say.

An ``accept`` of ours ends only our own chain: a packet passes all chains of its hook, and one that drops it decides.
kube-proxy's iptables mode has rules in the chain FORWARD itself, which accept what goes to Services before a policy
such as Docker's (DROP) gets it; flat tables have none there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ... import addresses
from ...system import tools
from . import netlink, skeleton
from .layout import FAMILIES, TABLE
from .netlink import BaseChain

_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
"""Their numbers (linux/netfilter.h)."""

_LEGACY = {
    addresses.IPV4: ("/proc/net/ip_tables_names", "iptables-legacy"),
    addresses.IPV6: ("/proc/net/ip6_tables_names", "ip6tables-legacy"),
}
_FORWARD = "packets that it does not accept, to Services as well: accept them there (ct status dnat)"


def obstacles(families: Sequence[str]) -> list[str]:
    """A line for each obstacle on this node for these address families; none where the kernel cannot be asked."""
    found: list[str] = []
    for family in families:
        try:
            found += lines(family, netlink.base_chains(family))
        except OSError:
            continue
        found += _of_legacy(family)
    return list(dict.fromkeys(found))


def lines(family: str, chains: Iterable[BaseChain]) -> Iterator[str]:
    """What is in the way of a family's packets, from the base chains that they meet."""
    ip = FAMILIES[family]
    for chain in chains:
        if (chain.family, chain.table) == (ip, TABLE):
            continue
        name = f"chain {chain.name} of table {chain.family} {chain.table}"
        hook = _HOOKS[chain.hook] if chain.hook < len(_HOOKS) else ""
        if chain.drops and hook in ("prerouting", "forward", "postrouting"):
            yield f"{name} drops {_FORWARD}"
        if chain.type == "nat" and hook in ("prerouting", "output") and chain.priority <= skeleton.NAT_PRIORITY:
            yield f"{name} (priority {chain.priority}) may rewrite destinations before Sluice does"


def _of_legacy(family: str) -> Iterator[str]:
    """The same of iptables-legacy: its chain FORWARD. Only a table that is there is asked: the tool would make it."""
    names, tool = _LEGACY[family]
    try:
        with open(names, encoding="ascii") as stream:
            is_there = "filter" in stream.read().split()
    except OSError:
        return
    if is_there and tools.find(tool):
        policy = tools.run([tool, "-t", "filter", "-S", "FORWARD"]).stdout.partition("\n")[0]
        if policy == "-P FORWARD DROP":
            yield f"chain FORWARD of {tool} drops {_FORWARD}"
