"""The topology of the lab: the hosts of an inventory, and what hangs on what. No process is asked and none started.

The inventory (YAML files, later ones add to earlier ones) is the only source; a host's variables say what it is:

    lab_network    the network that it is on, one of another host's lab_networks
    lab_addresses  its addresses there, with prefix lengths; the gateway is the other host's address of the same family
    lab_networks   networks that it carries as bridges: {NAME: [its addresses there]}; it forwards packets
    lab_routes     [{to: PREFIX, via: ADDRESS}]
    lab_local      prefixes that it takes as its own addresses, all of them
    lab_listen     [PORT/PROTOCOL] on which it answers with its name
    lab_machine    true: a virtual machine, with a kernel of its own (lab/vm); its namespaces are where its links end
"""

from __future__ import annotations

import dataclasses
import ipaddress
import pathlib
import re
import typing

import yaml

INVENTORY = pathlib.Path(__file__).resolve().parent.parent / "inventory/lab/hosts.yml"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
MACHINE = ".machine"  # after a host's name: the process of its virtual machine
Variables = dict[str, typing.Any]


class LabError(Exception):
    """What is wrong with the inventory or the machine, for the one who runs the lab."""


@dataclasses.dataclass(frozen=True)
class Host:
    """One host of the lab; addresses are with prefix lengths, as ip(8) takes them."""

    name: str
    network: str = ""
    addresses: tuple[str, ...] = ()
    networks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    local: tuple[str, ...] = ()
    listen: tuple[str, ...] = ()
    machine: bool = False


def read_hosts(*inventories: pathlib.Path) -> dict[str, Host]:
    """All hosts of YAML inventories, carriers of a network before those on it. Raises LabError, OSError, YAMLError."""
    variables: dict[str, Variables] = {}
    for inventory in inventories:
        _collect(yaml.safe_load(inventory.read_text(encoding="utf-8"))["all"], {}, variables)
    hosts = [
        Host(
            name=name,
            network=own.get("lab_network", ""),
            addresses=tuple(own.get("lab_addresses", ())),
            networks=tuple((network, tuple(at)) for network, at in own.get("lab_networks", {}).items()),
            routes=tuple((route["to"], route["via"]) for route in own.get("lab_routes", ())),
            local=tuple(own.get("lab_local", ())),
            listen=tuple(own.get("lab_listen", ())),
            machine=own.get("lab_machine", False),
        )
        for name, own in variables.items()
    ]
    for host in hosts:
        if not _NAME.fullmatch(str(host.name)):
            raise LabError(f"{host.name!r} is no name for a host: its state is a file of that name")
        if host.machine and (not host.network or host.routes or host.local or host.listen):
            raise LabError(f"{host.name}: a virtual machine needs lab_network and has no lab_routes, _local or _listen")
    ordered: dict[str, Host] = {}
    known = {""}
    while len(ordered) < len(hosts):
        ready = [host for host in hosts if host.name not in ordered and host.network in known]
        if not ready:
            lost = ", ".join(f"{host.name} ({host.network})" for host in hosts if host.name not in ordered)
            raise LabError(f"{inventories[-1]}: no host carries the network of {lost}")
        for host in ready:
            ordered[host.name] = host
            known.update(network for network, _ in host.networks)
    return ordered


def _collect(group: Variables, inherited: Variables, into: dict[str, Variables]) -> None:
    """Variables of every host below ``group``: its own win over those of its groups, inner over outer ones."""
    own = {**inherited, **(group.get("vars") or {})}
    for name, variables in (group.get("hosts") or {}).items():
        into[name] = {**own, **into.get(name, {}), **(variables or {})}
    for child in (group.get("children") or {}).values():
        _collect(child or {}, own, into)


def carriers(hosts: dict[str, Host]) -> dict[str, Host]:
    """The host that carries each network."""
    return {network: host for host in hosts.values() for network, _ in host.networks}


def gateways(host: Host, carrier: Host) -> list[str]:
    """The carrier's address in each of the host's address families."""
    families = {ipaddress.ip_interface(address).version for address in host.addresses}
    at = dict(carrier.networks)[host.network]
    return [str(address.ip) for address in map(ipaddress.ip_interface, at) if address.version in families]


def parts(hosts: dict[str, Host]) -> dict[str, str]:
    """The processes of the lab, each with the one that it hangs on (or ""), which comes before it."""
    by_network = carriers(hosts)
    found: dict[str, str] = {}
    for host in hosts.values():  # carriers come first
        found[host.name] = by_network[host.network].name if host.network else ""
        if host.machine:
            found[host.name + MACHINE] = host.name
    return found


def bridges(host: Host) -> dict[str, tuple[str, ...]]:
    """The bridges of a host, with addresses. Those of a virtual machine have none: it is one of their ports."""
    if host.machine:
        return dict.fromkeys([host.network, *dict(host.networks)], ())
    return dict(host.networks)
