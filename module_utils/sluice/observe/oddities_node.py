"""Oddities of a live node besides its rules: sysctls and a conntrack table with which Services do not work.

The sysctls are those of ip-sysctl, nf_conntrack-sysctl and ipvs-sysctl of the kernel's documentation.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence

from .. import addresses
from ..system import conntrack
from . import hooks
from .iptables_chains import Jumps
from .oddity import Oddity, few
from .outcomes import ENDPOINT, PASS
from .packets import Packet
from .service_ports import IPTABLES, IPVS, ServicePort
from .snapshot import Snapshot
from .walk import CircleError

_FORWARD = {addresses.IPV4: "net.ipv4.ip_forward", addresses.IPV6: "net.ipv6.conf.all.forwarding"}
_BRIDGED = {
    addresses.IPV4: "net.bridge.bridge-nf-call-iptables",
    addresses.IPV6: "net.bridge.bridge-nf-call-ip6tables",
}
_TRACKED = "net.ipv4.vs.conntrack"
_OF_DEVICE = ("forwarding", "rp_filter", "route_localnet", "arp_ignore", "arp_announce")

SYSCTLS = (*_FORWARD.values(), *_BRIDGED.values(), _TRACKED, *(f"net.ipv4.conf.*.{name}" for name in _OF_DEVICE))
"""What has to be known of a node; a ``*`` stands for each interface, ``all`` and ``default``."""

_DEVICE = re.compile(r"net\.ipv4\.conf\.(.+)\.(\w+)")
_LOCALHOST, _UNUSED = "127.0.0.1", 9
"""Loopback, and a port that no node port has: below the range of all of them."""

_MOST = 3


def found(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """Those of a node; what nobody has read is not odd, nor is anything on a node without Services."""
    if not ports:
        return
    devices = _Devices(snapshot.sysctls)
    families = [family for family in addresses.FAMILIES if any(port.family == family for port in ports)]
    for family in families:
        yield from _forwarding(snapshot, family, devices)
        yield from _bridges(snapshot, family)
    yield from _conntrack(snapshot)
    if addresses.IPV4 in families:
        yield from _reverse_path(devices)
        yield from _localnet(snapshot, ports, devices)
    yield from _masquerade(snapshot, ports)
    yield from _arp(snapshot, ports, devices)


class _Devices:
    """The sysctls of IPv4 that each interface has one of. No neighbour is on lo or kube-ipvs0: theirs do not count."""

    def __init__(self, sysctls: Mapping[str, str]) -> None:
        self._values: dict[str, dict[str, int]] = {}
        for name, value in sysctls.items():
            taken = _DEVICE.fullmatch(name)
            if taken and taken[1] not in ("lo", "kube-ipvs0") and value.isdecimal():
                self._values.setdefault(taken[2], {})[taken[1].replace("/", ".")] = int(value)

    def effective(self, name: str) -> dict[str, int]:
        """The higher one of an interface's own value and that of ``all``, which is what the kernel goes by; with
        ``default``, which interfaces to come will have. Empty where nobody has read it."""
        own = dict(self._values.get(name, {}))
        of_all = own.pop("all", 0)
        return {device: max(value, of_all) for device, value in own.items()}

    def own(self, name: str) -> list[int]:
        """The values of the interfaces that are there, where that of ``all`` does not count."""
        return [value for device, value in self._values.get(name, {}).items() if device not in ("all", "default")]


def _forwarding(snapshot: Snapshot, family: str, devices: _Devices) -> Iterator[Oddity]:
    name = _FORWARD[family]
    # Each interface has a switch of its own; in IPv6 none forwards where that of all is off.
    if snapshot.sysctls.get(name) == "0" and not (family == addresses.IPV4 and any(devices.own("forwarding"))):
        yield Oddity(
            "the node does not forward",
            f"{name} = 0",
            f"what other hosts send to {family} Services is not sent on to endpoints elsewhere, nor are answers back",
            _set(name, 1),
            True,
        )


def _bridges(snapshot: Snapshot, family: str) -> Iterator[Oddity]:
    name = _BRIDGED[family]
    value = snapshot.sysctls.get(name, "")
    if snapshot.bridges and snapshot.sysctls and value != "1":
        yield Oddity(
            "bridged packets do not come to the rules",
            f"{name} = {value}" if value else f"no {name}: the module br_netfilter is not loaded",
            f"where client and endpoint are on one bridge ({few(snapshot.bridges)}), the answer comes from the "
            "endpoint's own address, and the client takes it for none",
            _set(name, 1) if value else f"modprobe br_netfilter, {_set(name, 1)}",
            False,
        )


def _conntrack(snapshot: Snapshot) -> Iterator[Oddity]:
    count, room = snapshot.conntrack
    if conntrack.is_nearly_full(count, room):
        yield Oddity(
            "conntrack is full" if count >= room else "conntrack is nearly full",
            f"net.netfilter.nf_conntrack_count = {count}, net.netfilter.nf_conntrack_max = {room}",
            "the packets of new connections are dropped when it is full; those that are there go on",
            f"{_set('net.netfilter.nf_conntrack_max', 2 * room)} (sluice_conntrack_max), and see whose connections "
            "they are (conntrack -L)",
            True,
        )


def _reverse_path(devices: _Devices) -> Iterator[Oddity]:
    strict = sorted(device for device, value in devices.effective("rp_filter").items() if value == 1)
    if strict:
        yield Oddity(
            "strict reverse path filter",
            f"net.ipv4.conf: rp_filter = 1 at {few(strict)}",
            "a packet that comes by another interface than the way back to its source is dropped: an endpoint's "
            "answer too, where the ways are not the same in both directions",
            f"where they are not: {_set('net.ipv4.conf.all.rp_filter', 2)}",
            False,
        )


def _localnet(snapshot: Snapshot, ports: Sequence[ServicePort], devices: _Devices) -> Iterator[Oddity]:
    routed = devices.effective("route_localnet")
    name = "net.ipv4.conf.all.route_localnet"
    if routed and not any(routed.values()):
        served = _served_on_localhost(snapshot, ports)
        if served:
            yield Oddity(
                "node ports on 127.0.0.0/8 that the kernel does not route",
                f"{name} = 0",
                f"{served} sends what the node asks of {_LOCALHOST} to an endpoint, and the kernel drops it",
                _set(name, 1),
                True,
            )
    opened = sorted(device for device, value in routed.items() if value)
    if opened and PASS in _becomes(snapshot, Packet(_LOCALHOST, _UNUSED)):
        yield Oddity(
            "127.0.0.0/8 is open to neighbours",
            f"net.ipv4.conf: route_localnet = 1 at {few(opened)}, and no rule drops what comes to it from outside",
            "hosts on the same link reach what listens on loopback alone (CVE-2020-8558)",
            f"{_set(name, 0)} if nothing is served there, else iptables -A INPUT ! -s 127.0.0.0/8 -d 127.0.0.0/8 "
            "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            False,
        )


def _served_on_localhost(snapshot: Snapshot, ports: Sequence[ServicePort]) -> str:
    """The first node port by which rules of iptables send what is for loopback on; rules are the same for all, so a few
    ports tell."""
    asked = [
        port
        for port in ports
        if port.node_port and port.family == addresses.IPV4 and port.source.startswith(IPTABLES)
        if port.all_endpoints
    ]
    for port in asked[:_MOST]:
        if ENDPOINT in _becomes(snapshot, Packet(_LOCALHOST, port.node_port, port.protocol, _LOCALHOST)):
            return f"node port {port.node_port}"
    return ""


def _becomes(snapshot: Snapshot, packet: Packet) -> set[str]:
    try:
        ends = hooks.trace(snapshot.stations(packet.family), snapshot.servers, packet, snapshot.node)
    except CircleError:
        return set()
    return {each.verdict for each in ends}


def _masquerade(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    if snapshot.sysctls.get(_TRACKED) != "0" or not any(port.source == IPVS for port in ports):
        return
    if any("KUBE-MARK-MASQ" in Jumps(tables).jumped_to("nat") for tables in snapshot.iptables.values()):
        yield Oddity(
            "IPVS without conntrack, though rules masquerade",
            f"{_TRACKED} = 0",
            "what has to be masqueraded keeps its client's address: endpoints answer past the node, and clients take "
            "the answers for none",
            _set(_TRACKED, 1),
            True,
        )


def _arp(snapshot: Snapshot, ports: Sequence[ServicePort], devices: _Devices) -> Iterator[Oddity]:
    networks = [ipaddress.ip_network(text, strict=False) for text in snapshot.networks]
    near = sorted(
        address
        for address in {ip for port in ports if port.source == IPVS for ip in port.load_balancer_ips} & snapshot.bound
        if any(ipaddress.ip_address(address) in network for network in networks)
    )
    wrong = [
        (f"net.ipv4.conf.all.{name}", least)
        for name, least in (("arp_ignore", 1), ("arp_announce", 2))
        if any(value < least for value in devices.effective(name).values())
    ]
    if near and wrong:
        yield Oddity(
            "every node answers ARP for load balancer addresses",
            f"kube-ipvs0: {few(near)}, on a network of the node; too low: {', '.join(name for name, _least in wrong)}",
            "clients on that network send to whichever node was the first to answer, not to the one that announces",
            "; ".join(_set(name, least) for name, least in wrong) + " (sluice_ipvs_strict_arp)",
            False,
        )


def _set(name: str, value: int) -> str:
    return f"sysctl -w {name}={value}, and in /etc/sysctl.d for the next boot"
