"""Oddities of IPVS: virtual servers, the addresses of kube-ipvs0 and the IP sets do not fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .. import addresses
from ..backends.ipvs.text import VirtualAddress
from .oddity import Oddity, few
from .service_ports import CLUSTER, IPVS, LOCAL, ServicePort
from .services_ipvs import NODE_PORT, Kinds
from .snapshot import Snapshot

_ASKED = re.compile(r" --match-set (\S+)")
_ANEW = "have the proxy write all of it anew (sluice apply, or restart kube-proxy)"


def found(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """Those of a node; what was not dumped is not missed."""
    kinds = Kinds(snapshot.sets)
    is_of = {at: kinds.of(at) for at in snapshot.servers}
    yield from _addresses(snapshot, is_of)
    yield from _sets(snapshot, is_of)
    yield from _servers(snapshot, ports)


def _addresses(snapshot: Snapshot, is_of: dict[VirtualAddress, str]) -> Iterator[Oddity]:
    if not snapshot.bound:
        return
    # Without sets only all addresses of the node tell which are node ports.
    told = bool(not snapshot.sets and snapshot.networks)
    homeless = [
        _text(at)
        for at, kind in is_of.items()
        if kind != NODE_PORT and at.address not in snapshot.addresses and (kind or told)
    ]
    if homeless:
        yield Oddity(
            "virtual server whose address is not on kube-ipvs0",
            f"{IPVS}: {few(homeless)}",
            "the node does not take its packets in: they are forwarded or dropped, and no endpoint gets them",
            _ANEW,
            True,
        )
    served = {at.address for at in snapshot.servers}
    families = {addresses.family_of(address) for address in served}
    idle = sorted(
        address
        for address in snapshot.bound - served
        if not addresses.is_special(address) and (addresses.family_of(address) in families or not snapshot.servers)
    )
    if idle:
        yield Oddity(
            "address on kube-ipvs0 without a virtual server",
            f"kube-ipvs0: {few(idle)}",
            "the node takes its packets in and refuses them, or a program of its own answers",
            _ANEW,
            True,
        )


def _sets(snapshot: Snapshot, is_of: dict[VirtualAddress, str]) -> Iterator[Oddity]:
    """kube-proxy's sets and its virtual servers are of the same addresses."""
    if not any(name.endswith("CLUSTER-IP") for name in snapshot.sets):
        return
    yield from _unasked(snapshot)
    unknown = [_text(at) for at, kind in is_of.items() if not kind]
    if unknown:
        yield Oddity(
            "virtual server that is in no IP set",
            f"{IPVS}: {few(unknown)}",
            "its packets are not masqueraded where they have to be, or are refused (KUBE-IPVS-FILTER)",
            _ANEW,
            any(not kind and at.address in snapshot.bound for at, kind in is_of.items()),
        )
    if not snapshot.servers:
        return
    gone = [
        f"{member} in {name}"
        for name, held in snapshot.sets.items()
        if name.endswith(("CLUSTER-IP", "LOAD-BALANCER", "EXTERNAL-IP", "EXTERNAL-IP-LOCAL"))
        for member in held.members
        if _of_member(member) not in snapshot.servers
    ]
    if gone:
        yield Oddity(
            "address in an IP set without a virtual server",
            f"ipset: {few(gone)}",
            "its packets are let in, and nobody sends them on to an endpoint",
            _ANEW,
            True,
        )


def _unasked(snapshot: Snapshot) -> Iterator[Oddity]:
    """kube-proxy has a rule for each of its sets that has members, as far as that family's rules were dumped."""
    for variant, held in snapshot.iptables.items():
        if held.chain("nat", "KUBE-SERVICES") is None:
            continue
        asked = {
            name
            for chains in held.rules.values()
            for rules in chains.values()
            for text in rules
            for name in _ASKED.findall(text)
        }
        is_six = variant.family == addresses.IPV6
        unasked = [
            name
            for name, found in snapshot.sets.items()
            if found.members and name.startswith("KUBE-") and name.startswith("KUBE-6-") == is_six
            if name not in asked
        ]
        if unasked:
            yield Oddity(
                "IP set with members that no rule asks for",
                f"ipset: {few(unasked)}",
                "what is in it is not masqueraded, let in or kept out as it should be",
                _ANEW,
                True,
            )


def _of_member(member: str) -> VirtualAddress | None:
    address, _comma, port = member.rpartition(",")
    protocol, _colon, number = port.partition(":")
    return VirtualAddress(protocol, address, int(number)) if number.isdigit() else None


def _servers(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """A Service without endpoints is none; one of which some addresses have none is."""
    idle = [
        _text(at)
        for at, server in snapshot.servers.items()
        if server.real and not any(real.weight for real in server.real.values())
    ]
    if idle:
        yield Oddity(
            "virtual server whose real servers all have weight 0",
            f"{IPVS}: {few(idle)}",
            "new connections are refused",
            "see whether all of its endpoints are drained (sluice undrain)",
            True,
        )
    empty = {at for at, server in snapshot.servers.items() if not server.real}
    for port in ports if empty else ():
        if port.source != IPVS:
            continue
        own = [at for at in _addresses_of(port) if at in snapshot.servers]
        without = [_text(at) for at in own if at in empty]
        told = port.external_policy == CLUSTER and port.internal_policy != LOCAL
        if told and without and len(without) < len(own):
            yield Oddity(
                "virtual server without real servers, though other addresses of its Service have some",
                f"{IPVS}: {few(without)}",
                "its clients are refused",
                _ANEW,
                True,
            )


def _addresses_of(port: ServicePort) -> Iterator[VirtualAddress]:
    for address in (port.cluster_ip, *port.external_ips, *port.load_balancer_ips):
        if address:
            yield VirtualAddress(port.protocol, address, port.port)
    for address in port.node_addresses:
        yield VirtualAddress(port.protocol, address, port.node_port)


def _text(at: VirtualAddress) -> str:
    return f"{at.protocol} {addresses.host_port(at.address, at.port)}"
