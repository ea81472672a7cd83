"""Pods with host ports, as far as rules tell of them. Pure.

Those of KUBE-HOSTPORTS, which Sluice programs and kubelets did up to 1.23, have their names. Elements of Sluice's
nftables have none: there each host port is taken for a Pod of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from .. import addresses, forms, names
from ..backends.iptables.text import HOST_PORTS_CHAIN
from .nft_values import pattern
from .nftables import Table
from .recover_rules import Rules
from .recovered import NAMESPACE, Object, RecoverError
from .services_flat import elements
from .snapshot import Snapshot

_ABOUT = re.compile(r"(?P<pod>[^\s_]+)_(?P<namespace>[^\s_]+) hostport \d+")
_CHAIN = "KUBE-HP-"
_Name = tuple[str, str]


class HostPort(NamedTuple):
    """A port of a Pod in one address family. ``host_ip`` is empty for all of the node's. ``has_uid``: its chain is
    called after a uid, which no rule tells."""

    namespace: str
    pod: str
    protocol: str
    host_ip: str
    number: int
    address: str
    port: int
    has_uid: bool = False


def of_rules(rules: Rules) -> Iterator[HostPort]:
    """The host ports in rules of iptables. Raises RecoverError."""
    for rule in rules.of("nat", HOST_PORTS_CHAIN):
        chain = rule.target.name
        if not chain.startswith(_CHAIN):
            continue
        about = _ABOUT.fullmatch(rule.comment)
        rewrites = [each for each in rules.of("nat", chain) if each.target.name == "DNAT"]
        if not about or not rewrites:
            raise RecoverError(f"{chain}: no rule tells of which Pod it is, and where that is")
        protocol = rule.word("-p")
        address, port = addresses.split_port(rewrites[0].target.options["--to-destination"][0])
        own = names.host_port_chain_name(f"{about['namespace']}/{about['pod']}", rule.number, protocol)
        found = HostPort(about["namespace"], about["pod"], protocol, rule.destination, rule.number, address, port)
        yield _checked(found._replace(has_uid=chain != own))


def of_table(table: Table) -> Iterator[HostPort]:
    """The host ports in Sluice's own table. Raises RecoverError."""
    for name in ("host-ports", "host-ports-at"):
        for key, data, _about in elements(table, name):
            *at, protocol, number = key
            host_ip = str(at[0]) if at else ""
            where = re.sub(r"[.:]+", "-", f"-{host_ip}").rstrip("-") if host_ip else ""
            address, port = pattern(data)
            pod = f"host-port-{protocol}-{number}{where}"
            yield _checked(HostPort(NAMESPACE, pod, protocol, host_ip, number, address, port))


def _checked(found: HostPort) -> HostPort:
    """Asks whether what a dump says may stand in a manifest. Raises RecoverError."""
    well = (
        forms.LABEL.fullmatch(found.namespace)
        and forms.SUBDOMAIN.fullmatch(found.pod)
        and found.protocol in ("tcp", "udp", "sctp")
        and forms.address([found.address, *([found.host_ip] if found.host_ip else [])])
        and forms.port([found.number, found.port])
    )
    if not well:
        raise RecoverError(f"{found.namespace}/{found.pod}: host port {found.number} is none that a Pod can have")
    return found


def pods(found: Iterable[HostPort], node: str) -> Iterator[Object]:
    """The Pods, each once, whatever families it has."""
    by_name: dict[_Name, list[HostPort]] = {}
    listed: dict[tuple[str, bool], dict[_Name, None]] = {}
    for each in found:
        name = each.namespace, each.pod
        by_name.setdefault(name, []).append(each)
        listed.setdefault((addresses.family_of(each.address), bool(each.host_ip)), {})[name] = None
    for namespace, pod in _in_order(by_name, listed.values()):
        own = by_name[namespace, pod]
        ips = list(dict.fromkeys(each.address for each in own))
        ports = {(each.protocol, each.host_ip, each.number, each.port): _port(each) for each in own}
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "namespace": namespace},
            "spec": {"nodeName": node, "containers": [{"name": "ports", "ports": list(ports.values())}]},
            "status": {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]},
        }


def _in_order(found: Iterable[_Name], listed: Iterable[Iterable[_Name]]) -> list[_Name]:
    """Names in the order that all lists have: ports with a hostIP stand before the others, whosever they are."""
    before: TopologicalSorter[_Name] = TopologicalSorter(dict.fromkeys(found, ()))
    for some in map(list, listed):
        for first, second in zip(some, some[1:]):
            before.add(second, first)
    try:
        return list(before.static_order())
    except CycleError:  # a kubelet has none
        return list(found)


def _port(of: HostPort) -> dict[str, Any]:
    found: dict[str, Any] = {"containerPort": of.port, "hostPort": of.number, "protocol": of.protocol.upper()}
    return {**found, "hostIP": of.host_ip} if of.host_ip else found


def of_others(held: Snapshot) -> int:
    """How many host ports others have programmed: the CNI plugin portmap, by iptables or nftables."""
    chains = [
        rules
        for tables in held.iptables.values()
        for chain, rules in tables.rules.get("nat", {}).items()
        if chain.startswith("CNI-DN-")
    ]
    listed = [
        rule
        for table in held.nftables
        if table.name == "cni_hostport"
        for rules in table.rules.values()
        for rule in rules
        if any("dnat" in statement for statement in rule)
    ]
    return sum(" -j DNAT " in f" {rule} " for rules in chains for rule in rules) + len(listed)
