"""Services and settings that kube-proxy's nftables mode comes from. Pure.

Its releases differ in where they masquerade and whether endpoints have chains of their own. Not in its tables: health
check node ports, and whether an address without source ranges is a load balancer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .. import addresses
from . import services_nftables
from .nft_values import pattern
from .nftables import Entry, Table
from .recover_ports import BY_INTERFACE, NOWHERE, Found, port_of, unsure
from .services_flat import elements, networks
from .services_nftables import TABLE

_INTERFACES = ("iif", "oif", "iifname", "oifname")


def has(table: Table) -> bool:
    """Whether a table has this layout."""
    return table.name == TABLE and table.family in ("ip", "ip6") and "service-ips" in table.listed


def family_of(table: Table) -> str:
    """Its address family."""
    return addresses.IPV4 if table.family == "ip" else addresses.IPV6


def found(table: Table) -> Found:
    """What the table tells. Raises RecoverError."""
    family = family_of(table)
    ports, warnings = unsure([port_of(each) for each in services_nftables.ports(table)], family)
    lost = _nameless(table)
    if lost:
        warnings.append(f"{family}: {lost} addresses and node ports are left out, no rule tells whose they are")
    if _asks_interfaces(table):
        warnings.append(f"{family}: {BY_INTERFACE}")
    return Found(ports, _variables(table), warnings)


def _nameless(table: Table) -> int:
    """How many addresses and node ports are not known to be of a Service."""
    found = ((data, about) for kind in services_nftables.WAYS for _key, data, about in elements(table, kind))
    return sum(not services_nftables.whose(data, about)[0] for data, about in found)


def _variables(table: Table) -> dict[str, Any]:
    said: dict[str, Any] = {"backend": "nftables", "cluster_cidrs": list(dict.fromkeys(_cluster_cidrs(table)))}
    if any(_masquerades_all(rule) for rule in _masquerading(table)):
        said["masquerade_all"] = True
    mark = next(marks(table, ("mark-for-masquerade", "masquerading", "services")), 1 << 14)
    if mark != 1 << 14:
        said["masquerade_bit"] = mark.bit_length() - 1
    said.update(_of_node_ports(table))
    drops = [rule for rule in table.rules.get("cluster-ips-check", ()) if rule and "drop" in rule[-1]]
    cidrs = [each for rule in drops for each in matched(rule, "daddr", "==")]
    return {**said, "service_cidrs": cidrs}


def _asks_interfaces(table: Table) -> bool:
    """Whether interfaces tell what is of the cluster, which no setting of ours says."""
    return any(
        match["left"].get("meta", {}).get("key") in _INTERFACES
        for rule in (*_masquerading(table), *_short_cuts(table))
        for match in _matches(rule)
    )


def _of_node_ports(table: Table) -> dict[str, Any]:
    """Which of the node's addresses have node ports: those of a set, or all but loopback."""
    family = family_of(table)
    leads = [rule for rule in table.rules.get("services", ()) if _vmap(rule) == "@service-nodeports"]
    if "nodeport-ips" in table.listed or not leads:
        own = [addresses.host_network(str(key)) for key, _data, _about in elements(table, "nodeport-ips")]
        return {"nodeport_addresses": sorted(own) or [NOWHERE[family]]}
    return {"localhost_nodeports": False} if family == addresses.IPV4 else {}


def _vmap(rule: Iterable[Entry]) -> Any:
    return next((each["vmap"]["data"] for each in rule if "vmap" in each), "")


def _matches(rule: Iterable[Entry]) -> Iterator[Entry]:
    return (each["match"] for each in rule if "match" in each)


def matched(rule: Iterable[Entry], field: str, operator: str) -> Iterator[str]:
    """The networks and addresses to which a rule compares a field, sets of addresses aside."""
    for match in _matches(rule):
        if match["left"].get("payload", {}).get("field") != field or match["op"] not in _OPERATORS[operator]:
            continue
        right = match["right"]
        for each in right["set"] if isinstance(right, dict) and "set" in right else [right]:
            if not (isinstance(each, str) and each.startswith("@")):
                yield from map(_network, networks(each))


_OPERATORS = {"==": ("==", "in"), "!=": ("!=",)}


def _network(text: str) -> str:
    return text if "/" in text else addresses.host_network(text)


def _masquerading(table: Table) -> Iterator[Sequence[Entry]]:
    """The rules that mark what is on the way to a cluster IP."""
    for chain, rules in table.rules.items():
        if chain == "services" or chain.startswith(("service-", "local-")):
            # A chain of a Service begins with it.
            yield from (rule for rule in rules[:2] if any(map(services_nftables.is_mark, rule)))


def _masquerades_all(rule: Sequence[Entry]) -> bool:
    left = [match["left"] for match in _matches(rule)]
    return not any(each.get("payload", {}).get("field") == "saddr" or "meta" in each for each in left)


def _short_cuts(table: Table) -> Iterator[Sequence[Entry]]:
    """The rules for what Pods send to addresses outside."""
    for chain, rules in table.rules.items():
        if chain.startswith("external-"):
            yield from (rule for rule in rules[:1] if len(rule) > 1 and "goto" in rule[-1])


def _cluster_cidrs(table: Table) -> Iterator[str]:
    """The sources that are not masqueraded."""
    for rule in _masquerading(table):
        yield from matched(rule, "saddr", "!=")
    for rule in _short_cuts(table):
        yield from matched(rule, "saddr", "==")


def marks(table: Table, chains: Iterable[str]) -> Iterator[int]:
    """The marks of what is masqueraded."""
    for chain in chains:
        for rule in table.rules.get(chain, ()):
            for statement in rule:
                value = statement.get("mangle", {}).get("value", {})
                for operated in (value[kind] for kind in ("|", "^") if isinstance(value, dict) and kind in value):
                    yield from (each for each in map(pattern, operated) if isinstance(each, int))
