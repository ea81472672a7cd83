"""Manifests and settings of which the rules of a dump would come again: so that another program's node is taken over.

Pure. What rules do not tell is not recovered: names in IPVS mode, labels, selectors, names of target ports, endpoints
that are not ready.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .. import addresses, settings
from ..catalogue import yaml_text
from . import (
    damage,
    recover_flat,
    recover_host_ports,
    recover_iptables,
    recover_ipvs,
    recover_nftables,
    recover_ports,
    recovered,
    services_flat,
)
from .nft_values import DAMAGED
from .nftables import Table
from .recover_host_ports import HostPort
from .recover_ports import Found, some
from .recover_rules import Rules
from .recovered import Object, Port, RecoverError
from .snapshot import Snapshot


class Recovered(NamedTuple):
    """Manifests, the settings of the node as ``sluice_*`` variables, and what could not be recovered as it was."""

    objects: list[Object]
    variables: dict[str, Any]
    warnings: list[str]

    @property
    def files(self) -> dict[str, str]:
        """The texts of two files, by name."""
        manifests = "---\n".join(map(yaml_text.text, self.objects))
        return {"services.yml": manifests, "settings.yml": yaml_text.text(self.variables)}


def recover(held: Snapshot, node: str) -> Recovered:
    """What a snapshot's rules come from; ``node`` is what the node is called. Raises RecoverError."""
    try:
        return _recover(held, node)
    except RecoverError:
        raise
    except DAMAGED as error:
        raise RecoverError(f"a rule is damaged: {damage.said(error)}") from None


class _Source(NamedTuple):
    """What has the Services of one address family: rules of iptables, with their variant, or a table of nftables."""

    family: str
    program: str
    of: Rules | Table
    variant: str = ""


_OWN = "Sluice's nftables"


def _sources(held: Snapshot) -> Iterator[_Source]:
    for variant, tables in held.iptables.items():
        if tables.chain("nat", "KUBE-SERVICES") is not None:
            yield _Source(variant.family, "iptables", Rules(tables, variant.family), variant.name)
    for table in held.nftables:
        family = recover_nftables.family_of(table)
        if services_flat.has(table):
            yield _Source(family, _OWN, table)
        elif recover_nftables.has(table):
            yield _Source(family, "kube-proxy's nftables", table)


def _only(sources: Sequence[_Source]) -> None:
    """Asks whether one program has made the rules, each family's once. Raises RecoverError."""
    for family in addresses.FAMILIES:
        programs = [source.program for source in sources if source.family == family]
        if len(set(programs)) > 1:
            raise RecoverError(f"{family}: {' and '.join(programs)} have rules of Services, give the dump of one")
        if len(programs) > 1:
            raise RecoverError(f"{family}: both variants of iptables have rules of Services, give the dump of one")
    if not sources:
        raise RecoverError("no dump has rules of kube-proxy or Sluice")
    if len({source.program for source in sources}) > 1:
        raise RecoverError("the address families have rules of different programs, give the dump of one")


def _recover(held: Snapshot, node: str) -> Recovered:
    sources = list(_sources(held))
    _only(sources)
    ports: list[Port] = []
    host_ports: list[HostPort] = []
    said: dict[str, Any] = {"node_name": node, "ip_families": [each.family for each in sources]}
    if sources[0].program != _OWN:
        said["takeover"] = True
    warnings: list[str] = []
    own = set(held.addresses)
    for family, _program, of, variant in sources:
        state = recover_ipvs.State(held.sets, held.servers, family)
        if isinstance(of, Table):
            found = recover_flat.found(of) if services_flat.has(of) else recover_nftables.found(of)
        elif state.has("CLUSTER-IP"):
            found = _of_ipvs(state, of, own)
        else:
            found = recover_iptables.found(of)
        ports += found.ports
        host_ports += found.host_ports
        warnings += found.warnings
        _merge(said, found.said)
        if variant:
            said["iptables_variant"] = variant
        warnings += _node_ip(said, family, found.ports, own.union(_named(said)))
    for port in ports:
        recover_ports.check(port)
    ports = recover_ipvs.joined(ports)
    if not all(_is_within(port.cluster_ip, said.get("service_cidrs", ())) for port in ports):
        del said["service_cidrs"]
    said["node_addresses"] = sorted(own.union(_named(said)))
    warnings += [
        f"{port.full_name}: no rule names its endpoints elsewhere; {recovered.STAND_IN[port.family]} stands for them"
        for port in ports
        if port.elsewhere
    ]
    warnings += _of_health_checks(ports)
    warnings += _of_host_ports(held, host_ports)
    variables = {settings.PREFIX + key: value for key, value in said.items() if value not in ([], "")}
    objects = [*recovered.objects(ports, node), *recover_host_ports.pods(host_ports, node)]
    return Recovered(objects, variables, warnings)


def _named(said: dict[str, Any]) -> set[str]:
    """The node's addresses that serve node ports, where rules name them."""
    networks = set(said.get("nodeport_addresses", ())).difference(recover_ports.NOWHERE.values())
    own = {each.partition("/")[0] for each in networks}
    return {each for each in own if addresses.host_network(each) in networks}


def _is_within(address: str, networks: Sequence[str]) -> bool:
    own = [each for each in networks if addresses.family_of(each) == addresses.family_of(address)]
    return not own or any(addresses.contains(each, address) for each in own)


def _of_health_checks(ports: Sequence[Port]) -> list[str]:
    """Load balancers that have a port for health checks which no rule tells."""
    told = {port.full_name for port in ports if port.health_check_node_port}
    names = {port.full_name for port in ports if port.external_local and port.ingress} - told
    return [f"{some(names)}: no rule has the health check node port, another one is given"] if names else []


def _of_host_ports(held: Snapshot, found: Sequence[HostPort]) -> list[str]:
    """What of host ports does not come again as it was."""
    warnings = []
    others, uids = (
        recover_host_ports.of_others(held),
        {f"{each.namespace}/{each.pod}" for each in found if each.has_uid},
    )
    if others:
        warnings.append(f"{others} host ports of the CNI plugin portmap are left out: they are not Sluice's")
    if uids:
        warnings.append(f"{some(uids)}: no rule tells a Pod's uid, after which its host ports' chains are called")
    return warnings


def _of_ipvs(state: recover_ipvs.State, rules: Rules, own: set[str]) -> Found:
    """Addresses of Services are the node's own as well, and count for none of it."""
    said = {"backend": "ipvs", **recover_ipvs.variables(state, rules)}
    own -= recover_ipvs.served(state)
    serving = recover_ipvs.node_port_addresses(state)
    known = {each for each in own if addresses.family_of(each) == state.family and not addresses.is_loopback(each)}
    if serving and known.difference(serving):
        said["nodeport_addresses"] = list(map(addresses.host_network, serving))
    own.update(serving)
    return Found(recover_ipvs.ports(state), said, [], list(recover_host_ports.of_rules(rules)))


def _merge(said: dict[str, Any], more: dict[str, Any]) -> None:
    """Lists of both families become one; a family without Services does not show that a release is an old one."""
    for key, value in more.items():
        if isinstance(value, list):
            said[key] = list(dict.fromkeys([*said.get(key, []), *value]))
        else:
            said[key] = min(said.get(key, value), value) if key == "compat" else value


def _node_ip(said: dict[str, Any], family: str, ports: Sequence[Port], own: set[str]) -> list[str]:
    """The node's primary address, of which rules tell only whether source ranges have it."""
    candidates = sorted(each for each in own if addresses.family_of(each) == family)
    outward = [each for each in candidates if not addresses.is_loopback(each)]
    fenced = [port for port in ports if port.source_ranges]
    if not fenced:
        return []
    fitting = [each for each in outward if all(_fits(port, each) for port in fenced)]
    if fitting:
        said.setdefault("node_ips", []).append(fitting[0])
        return []
    return [
        f"{port.full_name}: the node may enter by a source range, and no address of it is known that lies in one"
        for port in fenced
        if port.node_may_enter
    ]


def _fits(port: Port, address: str) -> bool:
    inside = any(addresses.contains(network, address) for network in port.source_ranges)
    return inside == port.node_may_enter
