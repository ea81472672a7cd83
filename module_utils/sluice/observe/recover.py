"""Manifests and settings of which the rules of a dump would come again: so that another program's node is taken over.

Pure. What rules do not tell is not recovered: names in IPVS mode, labels, selectors, names of target ports, endpoints
that are not ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import addresses, settings
from ..catalogue import yaml_text
from ..view import LARGE_CLUSTER
from . import recover_iptables, recover_ipvs, recovered
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
    except (ValueError, LookupError) as error:
        raise RecoverError(f"a rule is damaged: {error}") from None


def _recover(held: Snapshot, node: str) -> Recovered:
    sides = [
        (variant.name, Rules(tables, variant.family))
        for variant, tables in held.iptables.items()
        if tables.chain("nat", "KUBE-SERVICES") is not None
    ]
    for family in addresses.FAMILIES:
        if len([rules for _name, rules in sides if rules.family == family]) > 1:
            raise RecoverError(f"{family}: both variants of iptables have rules of Services, give the dump of one")
    if not sides:
        raise RecoverError("no dump has rules of kube-proxy")
    ports: list[Port] = []
    said: dict[str, Any] = {
        "node_name": node,
        "takeover": True,
        "ip_families": [rules.family for _name, rules in sides],
    }
    warnings: list[str] = []
    own = set(held.addresses)
    for name, rules in sides:
        state = recover_ipvs.State(held.sets, held.servers, rules.family)
        found = _of_ipvs(said, state, rules, own) if state.has("CLUSTER-IP") else _of_iptables(said, rules)
        ports += found
        if name:
            said["iptables_variant"] = name
        warnings += _node_ip(said, rules.family, found, own)
    if said.get("backend"):
        ports = recover_ipvs.joined(ports)
    named = set(said.get("nodeport_addresses", ())).difference(recover_iptables.NOWHERE.values())
    said["node_addresses"] = sorted(own.union(each.partition("/")[0] for each in named))
    warnings += [
        f"{port.full_name}: no rule names its endpoints elsewhere; {recovered.STAND_IN[port.family]} stands for them"
        for port in ports
        if port.elsewhere
    ]
    variables = {settings.PREFIX + key: value for key, value in said.items() if value not in ([], "")}
    return Recovered(list(recovered.objects(ports, node)), variables, warnings)


def _of_iptables(said: dict[str, Any], rules: Rules) -> list[Port]:
    found = recover_iptables.ports(rules)
    _merge(said, recover_iptables.variables(rules, found))
    commented = recover_iptables.comments_endpoints(rules, found)
    if commented != (sum(len(port.targets) for port in found) <= LARGE_CLUSTER):
        said["endpoint_comments"] = "always" if commented else "never"
    return found


def _of_ipvs(said: dict[str, Any], state: recover_ipvs.State, rules: Rules, own: set[str]) -> list[Port]:
    """Addresses of Services are the node's own as well, and count for none of it."""
    said["backend"] = "ipvs"
    _merge(said, recover_ipvs.variables(state, rules))
    own -= recover_ipvs.served(state)
    serving = recover_ipvs.node_port_addresses(state)
    known = {each for each in own if addresses.family_of(each) == state.family and not addresses.is_loopback(each)}
    if serving and known.difference(serving):
        _merge(said, {"nodeport_addresses": list(map(addresses.host_network, serving))})
    own.update(serving)
    return recover_ipvs.ports(state)


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
