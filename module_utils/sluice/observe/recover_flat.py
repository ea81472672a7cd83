"""Services and settings that Sluice's own nftables tables come from (``backends/nftables/skeleton.py``). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from .. import addresses, forms
from ..backends.nftables import layout
from ..backends.nftables.skeleton import AFFINITY_CLIENTS
from . import recover_host_ports, services_flat
from .nftables import Entry, Table
from .recover_nftables import family_of, marks, matched
from .recover_ports import NOWHERE, Found, port_of, some, unsure
from .recovered import NAMESPACE
from .service_ports import ServicePort
from .services_flat import elements

_CUT = "~"
"""In what stands for a name that is too long for a comment."""


def found(table: Table) -> Found:
    """What the table tells. Raises RecoverError."""
    family = family_of(table)
    listed = list(services_flat.ports(table))
    ports, warnings = unsure([port_of(_named(each)) for each in listed], family)
    lost = sum(_CUT in each.name for each in listed)
    if lost:
        warnings.append(f"{family}: {lost} service ports have names that are too long for nftables, and get others")
    hashed = {port.full_name for port in ports if port.hashed}
    if hashed:
        warnings.append(f"{family}: {some(hashed)}: if endpoints have weights, no rule of a hash tells them")
    warnings += (f"{family}: rules ask for {name}, which is not told" for name in _settings_lost(table))
    return Found(ports, _variables(table), warnings, list(recover_host_ports.of_table(table)))


def _named(port: ServicePort) -> ServicePort:
    """A Service that has lost its name is called after its cluster IP."""
    if _CUT not in port.name or not forms.address([port.cluster_ip]):
        return port
    digits = f"{int(ipaddress.ip_address(port.cluster_ip)):x}"
    return port._replace(name=f"{NAMESPACE}/service-{digits}:{port.protocol}-{port.port}")


def _variables(table: Table) -> dict[str, Any]:
    inside, outside_local = table.rules.get("inside", []), table.rules.get("outside-local", [])
    sources = [each for rule in inside for each in matched(rule, "saddr", "!=")]
    sources += [each for rule in outside_local for each in matched(rule, "saddr", "==")]
    said: dict[str, Any] = {"backend": "nftables", "cluster_cidrs": list(dict.fromkeys(sources))}
    if any("mangle" in rule[0] for rule in inside if rule):
        said["masquerade_all"] = True
    mark = next(marks(table, ("outside",)), 1 << 14)
    if mark != 1 << 14:
        said["masquerade_bit"] = mark.bit_length() - 1
    if not any(_is_invalid(rule) for rule in table.rules.get("filter-forward", ())):
        said["conntrack_tcp_be_liberal"] = True
    clients = table.listed.get(layout.AFFINITY, {}).get("size", AFFINITY_CLIENTS)
    if clients != AFFINITY_CLIENTS:
        said["affinity_clients"] = clients
    return {**said, **_of_node_ports(table)}


def _settings_lost(table: Table) -> Iterator[str]:
    """The settings that its rules show, and not what they are."""
    if any("flow" in each for rule in table.rules.get("filter-forward", ()) for each in rule):
        yield "sluice_flowtable"
    if "checks" in table.rules:
        yield "sluice_health"


def _of_node_ports(table: Table) -> dict[str, Any]:
    """Which of the node's addresses have node ports: those of a set, or all, loopback among them or not."""
    family = family_of(table)
    leads = [rule for rule in table.rules.get("services", ()) if "@node-ports" in str(rule)]
    guarded = any("established" in str(rule) for rule in table.rules.get("filter-input", ()))
    if "@node-addresses" not in str(leads):
        everywhere = not leads or any(list(matched(rule, "daddr", "!=")) for rule in leads)
        return {"localhost_nodeports": False} if family == addresses.IPV4 and everywhere else {}
    own = sorted(str(key) for key, _data, _about in elements(table, "node-addresses"))
    pods = [str(key[0]) for key, _data, _about in elements(table, "host-ports-at")]
    if guarded and not any(map(addresses.is_loopback, (*own, *pods))):
        own.append(addresses.LOOPBACK[family])  # which no address of the node is in
    networks = [each if "/" in each else addresses.host_network(each) for each in own]
    return {"nodeport_addresses": networks or [NOWHERE[family]]}


def _is_invalid(rule: Sequence[Entry]) -> bool:
    return any(each.get("match", {}).get("right") == "invalid" for each in rule)
