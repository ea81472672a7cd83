"""Services and settings that the state of kube-proxy's IPVS mode comes from. Pure.

It has no names: a Service is called after its cluster IP, and an address or a node port is taken for that of the first
Service that has such ports and endpoints. What is programmed is the same whosever they are.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Callable

from .. import addresses
from ..backends.ipvs.ipset_text import IpSet
from ..backends.ipvs.tables import set_name
from ..backends.ipvs.text import VirtualAddress, VirtualServer
from .recover_rules import Rules, masquerade_bit
from .recovered import NAMESPACE, Port, RecoverError

_PROTOCOLS = ("tcp", "udp", "sctp")
_HALVES = {addresses.IPV4: {"0.0.0.0/1", "128.0.0.0/1"}, addresses.IPV6: {"::/1", "8000::/1"}}
_Key = tuple[str, str, int]
"""Address, protocol and port."""


class State:
    """Sets and virtual servers of one address family."""

    def __init__(self, sets: Mapping[str, IpSet], servers: Mapping[VirtualAddress, VirtualServer], family: str) -> None:
        self.family = family
        self._sets = sets
        self._keys: dict[str, dict[_Key, list[str]]] = {}
        self.servers = {
            (each.address, each.protocol, each.port): server
            for each, server in servers.items()
            if addresses.family_of(each.address) == family
        }

    def has(self, name: str) -> bool:
        return set_name(name, self.family) in self._sets

    def members(self, name: str) -> tuple[str, ...]:
        found = self._sets.get(set_name(name, self.family))
        return found.matching if found else ()

    def keys(self, name: str) -> dict[_Key, list[str]]:
        """The members of a set of addresses and ports, by these."""
        if name not in self._keys:
            found = self._keys[name] = {}
            for member in self.members(name):
                found.setdefault(_key(member), []).append(member)
        return self._keys[name]

    def targets(self, key: _Key) -> frozenset[tuple[str, int]]:
        server = self.servers.get(key)
        return frozenset(map(addresses.split_port, server.real)) if server else frozenset()

    def node_ports(self, *, local: bool) -> Iterator[tuple[str, int]]:
        """Protocols and numbers of node ports, all of them or those of policy Local."""
        word = "-LOCAL" if local else ""
        for protocol in ("tcp", "udp"):
            for member in self.members(f"NODE-PORT{word}-{protocol.upper()}"):
                yield protocol, int(member)
        for _address, protocol, number in self.keys(f"NODE-PORT{word}-SCTP-HASH"):
            yield protocol, number


def _key(member: str) -> _Key:
    address, pair = member.split(",")[:2]
    protocol, number = pair.split(":")
    return addresses.address(address), protocol, int(number)


def ports(state: State) -> list[Port]:
    """The service ports. Raises RecoverError where an address or a node port is no Service's."""
    by_ip: dict[str, list[_Key]] = {}
    for key in state.keys("CLUSTER-IP"):
        by_ip.setdefault(key[0], []).append(key)
    here = {(address, number) for address, _protocol, number in state.keys("LOOP-BACK")}
    found = {key: _port(state, key, alone=len(keys) == 1) for keys in by_ip.values() for key in keys}
    for name in ("EXTERNAL-IP", "EXTERNAL-IP-LOCAL", "LOAD-BALANCER"):
        outside: dict[str, list[_Key]] = {}
        for key in state.keys(name):
            outside.setdefault(key[0], []).append(key)
        for ip, keys in outside.items():
            local = name.endswith("LOCAL") or keys[0] in state.keys("LOAD-BALANCER-LOCAL")
            for key, own in zip(keys, _owner(state, found, by_ip, keys, local=local)):
                found[own] = _entered(state, found[own], name, ip, key)
    local_ports = set(state.node_ports(local=True))
    not_of_nodes = served(state)
    by_number = {key[1:]: key for key in state.servers if key[0] not in not_of_nodes}
    for protocol, number in dict.fromkeys(state.node_ports(local=False)):
        key = by_number.get((protocol, number), ("", protocol, number))
        local = (protocol, number) in local_ports
        own = _owner_of_node_port(state, found, key, local=local)
        port = _with_more(found[own], state.targets(key), local=local)
        found[own] = port._replace(node_port=number, external_local=port.external_local or local)
    health = [int(member) for member in state.members("HEALTH-CHECK-NODE-PORT")]
    for key, port in found.items():
        if port.external_local and port.ingress and health:
            found[key] = port._replace(health_check_node_port=health.pop(0))
    return [port._replace(local=frozenset(port.targets) & here) for port in found.values()]


def _port(state: State, key: _Key, *, alone: bool) -> Port:
    address, protocol, number = key
    server = state.servers.get(key)
    name = address.replace(".", "-") if "." in address else ipaddress.ip_address(address).packed.hex()
    return Port(
        NAMESPACE,
        f"service-{name}",
        "" if alone else f"{protocol}-{number}",
        protocol,
        number,
        address,
        affinity_seconds=server.persistent if server else 0,
        targets=tuple(sorted(state.targets(key))),
    )


def _owner(
    state: State, found: Mapping[_Key, Port], by_ip: Mapping[str, list[_Key]], keys: list[_Key], *, local: bool
) -> list[_Key]:
    """The ports of the Service whose these keys are: one that has the same ports, and the endpoints besides."""
    wanted = sorted(key[1:] for key in keys)
    alike = [own for own in by_ip.values() if sorted(key[1:] for key in own) == wanted]
    for is_wanted, fits in itertools.product((_agrees, _any), _FITS):
        for own in alike:
            pairs = list(zip(sorted(keys, key=lambda key: key[1:]), sorted(own, key=lambda key: key[1:])))
            if all(
                is_wanted(found[each], _seconds(state, key), local=local)
                and fits(state.targets(key), frozenset(found[each].targets))
                for key, each in pairs
            ):
                by_pair = {each[1:]: each for each in own}
                return [by_pair[key[1:]] for key in keys]
    raise RecoverError(f"{keys[0][0]}: no cluster IP has its ports and endpoints")


def _seconds(state: State, key: _Key) -> int:
    server = state.servers.get(key)
    return server.persistent if server else 0


def _agrees(port: Port, seconds: int, *, local: bool) -> bool:
    """Whether a port may have one more address: affinity and the policy outside are the same for all it has."""
    outer = port.external_ips or port.ingress or port.node_port
    return port.affinity_seconds == seconds and (not outer or port.external_local == local)


def _any(_of: Port, _for: int, *, local: bool) -> bool:
    return True


_FITS: tuple[Callable[[frozenset[Any], frozenset[Any]], bool], ...] = (
    frozenset.__eq__,
    frozenset.__le__,
    frozenset.__ge__,
    frozenset.isdisjoint,
)
"""How endpoints that are reached from outside may be those of a Service, from the best: the last where its own on this
node all terminate."""


def _entered(state: State, port: Port, name: str, ip: str, key: _Key) -> Port:
    """The port with an address from outside."""
    local = name.endswith("LOCAL") or key in state.keys("LOAD-BALANCER-LOCAL")
    port = _with_more(port, state.targets(key), local=local)
    if name != "LOAD-BALANCER":
        return port._replace(external_ips=(*port.external_ips, ip), external_local=port.external_local or local)
    sources = [member.rpartition(",")[2] for member in state.keys("LOAD-BALANCER-SOURCE-CIDR").get(key, ())]
    ranges = [each if "/" in each else addresses.host_network(addresses.address(each)) for each in sources]
    halves = _HALVES[state.family]
    if halves <= set(ranges):
        ranges = [addresses.ANY[state.family], *(each for each in ranges if each not in halves)]
    return port._replace(
        ingress=(*port.ingress, ip),
        source_ranges=tuple(dict.fromkeys((*port.source_ranges, *ranges))),
        node_may_enter=key in state.keys("LOAD-BALANCER-SOURCE-IP"),
        external_local=port.external_local or local,
    )


def _with_more(port: Port, targets: frozenset[tuple[str, int]], *, local: bool) -> Port:
    """Where more endpoints answer from outside than from inside, the inside has policy Local.

    With policy Local outside (``local``) these are the node's own, which terminate while others have ready ones.
    """
    more = targets.difference(port.targets)
    if not more:
        return port
    everyone = tuple(sorted({*port.targets, *targets}))
    if local and port.targets:
        return port._replace(targets=everyone, ending=port.ending | more)
    return port._replace(targets=everyone, internal_local=True)


def served(state: State) -> set[str]:
    """The addresses of Services."""
    return {key[0] for name in _SERVED for key in state.keys(name)}


_SERVED = ("CLUSTER-IP", "EXTERNAL-IP", "EXTERNAL-IP-LOCAL", "LOAD-BALANCER")


def _owner_of_node_port(state: State, found: Mapping[_Key, Port], key: _Key, *, local: bool) -> _Key:
    targets = state.targets(key)
    free = [own for own, port in found.items() if own[1] == key[1] and not port.node_port]
    missing: Counter[str] = Counter(own[0] for own, port in found.items() if not port.node_port)
    begun = {own[0] for own, port in found.items() if port.node_port}
    # A load balancer most often has node ports, and policy Local of one is that of the other. All ports of a Service
    # have one, or none.
    free.sort(
        key=lambda own: (
            found[own].external_local != local,
            own[0] not in begun,
            not found[own].ingress,
            missing[own[0]],
        )
    )
    for is_wanted, fits in itertools.product((_agrees, _any), _FITS):
        for own in free:
            if is_wanted(found[own], _seconds(state, key), local=local) and fits(
                targets, frozenset(found[own].targets)
            ):
                return own
    raise RecoverError(f"node port {key[2]}: no cluster IP has its endpoints")


def joined(ports: list[Port]) -> list[Port]:
    """The ports of both families, with those of one Service together: they have the same node port."""
    first: dict[tuple[str, int], str] = {}
    same: dict[str, str] = {}
    for port in ports:
        if port.node_port:
            known = first.setdefault((port.protocol, port.node_port), port.service)
            same.setdefault(port.service, known)
    return [port._replace(service=same.get(port.service, port.service)) for port in ports]


def variables(state: State, rules: Rules) -> dict[str, Any]:
    """The settings of the node that are not as they are where nobody says so, by their names without the prefix."""
    said: dict[str, Any] = {"compat": "1.36" if state.has("IPVS-IPS") else "1.20", "cluster_cidrs": []}
    said.update(masquerade_bit(rules))
    for rule in rules.of("nat", "KUBE-SERVICES"):
        held = rule.matches.get("--match-set")
        if rule.target.name == "KUBE-MARK-MASQ" and held and held.words[0] == set_name("CLUSTER-IP", state.family):
            if rule.outside:
                said["cluster_cidrs"].append(rule.outside)
            elif held.words[1:] == ("dst,dst",):
                said["masquerade_all"] = True
    schedulers = {server.scheduler for server in state.servers.values()}
    if schedulers and schedulers != {"rr"}:
        said["ipvs_scheduler"] = min(schedulers)
    return said


def node_port_addresses(state: State) -> list[str]:
    """The addresses that have virtual servers of node ports."""
    held = set(state.node_ports(local=False))
    own = served(state)
    return list(dict.fromkeys(key[0] for key in state.servers if key[1:] in held and key[0] not in own))
