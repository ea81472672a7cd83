"""Pieces of a rule, as iptables-save prints them, and the rules that IPVS mode has as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Callable

from ... import addresses, names, notrack
from ...catalogue.model import HostPort
from ...release import RELEASES
from ...settings import Settings
from ...view import LARGE_CLUSTER, View
from ..shared import is_on_loopback
from .dialect import DIALECTS, HOST_PORT_JUMPS, Dialect, Jump
from .text import HOST_PORTS_CHAIN, OWNER_CHAIN, TABLES, RuleSet, comment

Entry = tuple[str, str, str]
"""(table, chain, rule); an empty rule only makes the chain."""

LOCAL_DESTINATION = "-m addrtype --dst-type LOCAL"
LOCAL_SOURCE = "-m addrtype --src-type LOCAL"
OFF_MACHINE = "-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL"
"""What comes from off the machine, not from a bridged container nor from the node itself."""

DROP_MARK = "0x8000/0x8000"
_REJECT = {
    addresses.IPV4: "REJECT --reject-with icmp-port-unreachable",
    addresses.IPV6: "REJECT --reject-with icmp6-port-unreachable",
}


class Context:
    """What every rule of one view depends on: the dialect, the node's settings, the family, whether to comment."""

    def __init__(self, view: View, settings: Settings) -> None:
        self.release = RELEASES[settings.compat]
        self.dialect: Dialect = DIALECTS[settings.compat]
        self.settings = settings
        self.family = view.family
        self.mark = f"{1 << settings.masquerade_bit:#x}"
        self.cluster_cidr = settings.cluster_cidr(view.family)
        large = view.endpoint_count > LARGE_CLUSTER
        self.endpoint_comments = settings.endpoint_comments == "always" or (
            settings.endpoint_comments == "auto" and not large
        )

    def reject(self) -> str:
        return _REJECT[self.family]


def collected(*parts: Iterable[Entry]) -> RuleSet:
    """All entries of ``parts`` in their order, by table and chain."""
    rules: RuleSet = {table: {} for table in TABLES}
    for entries in parts:
        for table, chain, rule in entries:
            found = rules.setdefault(table, {}).setdefault(chain, [])
            if rule:
                found.append(rule)
    return rules


# --- rules


def skeleton(always: Mapping[str, Sequence[str]], jumps: Iterable[Jump]) -> Iterator[Entry]:
    """The chains that there always are, and what leads to them from built-in chains."""
    for table in TABLES:
        yield table, OWNER_CHAIN, ""
    for table, chains in always.items():
        for chain in chains:
            yield table, chain, ""
    for jump in jumps:
        yield jump.table, jump.chain, jump.rule


def masquerading(context: Context) -> Iterator[Entry]:
    """What is marked on its way in leaves with the node's own address."""
    mark = context.mark
    yield "nat", "KUBE-MARK-MASQ", f"-j MARK --set-xmark {mark}/{mark}"
    yield "nat", "KUBE-POSTROUTING", f"-m mark ! --mark {mark}/{mark} -j RETURN"
    # Clears the mark, so that a packet that is routed twice (a tunnel) is not masqueraded twice.
    yield "nat", "KUBE-POSTROUTING", f"-j MARK --set-xmark {mark}/0x0"
    yield (
        "nat",
        "KUBE-POSTROUTING",
        f"{comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully",
    )


def forwarding(context: Context) -> Iterator[Entry]:
    """What was sent on to an endpoint may pass, also where the policy of FORWARD is DROP."""
    forwarded = f"{comment('kubernetes forwarding rules')} -m mark --mark {context.mark}/{context.mark}"
    yield "filter", "KUBE-FORWARD", f"{forwarded} -j ACCEPT"
    for text in context.dialect.forward_comments:
        yield "filter", "KUBE-FORWARD", f"{comment(text)} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def dropping(chain: str = "KUBE-FIREWALL") -> Iterator[Entry]:
    """Up to 1.23. In a cluster both are the kubelet's; here nobody else would drop what the firewall chains mark."""
    marked = f"{comment('kubernetes firewall for dropping marked packets')} -m mark --mark {DROP_MARK}"
    yield "nat", "KUBE-MARK-DROP", f"-j MARK --set-xmark {DROP_MARK}"
    yield "filter", chain, f"{marked} -j DROP"


def localnet(chain: str = "KUBE-FIREWALL") -> Iterator[Entry]:
    """route_localnet opens 127.0.0.0/8 to neighbours (CVE-2020-8558); node ports and host ports on it need that."""
    loopback = addresses.LOOPBACK[addresses.IPV4]
    incoming = f"! -s {loopback} -d {loopback} {comment('block incoming localnet connections')}"
    yield "filter", chain, f"{incoming} -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"


def untracked(settings: Settings) -> Iterator[Entry]:
    """Health checks by TCP and their answers pass by conntrack, and by a firewall that asks it (module notrack).

    An answer has a connection of this node that it belongs to: so no other packet to these ports passes as one, nor one
    that begins a connection.
    """
    if not (settings.health and settings.health_notrack):
        return
    ports = f"{notrack.FIRST}:{notrack.LAST}"
    checks, answers = comment("health checks"), comment("answers to health checks")
    yield "raw", OWNER_CHAIN, ""
    yield "raw", "PREROUTING", f"{answers} -j SLUICE-ANSWERS"
    yield "raw", "OUTPUT", f"{checks} -j SLUICE-CHECKS"
    to_us = f"-p tcp -m tcp --dport {ports}"
    yield "raw", "SLUICE-ANSWERS", f"{to_us} ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket -j CT --notrack"
    yield "raw", "SLUICE-CHECKS", f"-p tcp -m tcp --sport {ports} -j CT --notrack"
    yield "filter", "INPUT", f"{answers} -j SLUICE-ANSWERS"
    yield "filter", "SLUICE-ANSWERS", f"{to_us} -m conntrack --ctstate UNTRACKED -j ACCEPT"


def host_port_rules(view: View) -> Iterator[Entry]:
    """The host ports of this node's Pods, as the kubelet's host port manager programmed them.

    Except that loopback stays the node's own: a host port answers there only if its hostIP says so. What a kubelet
    has others masquerade then, on the bridge of its Pods, is marked here.
    """
    if not view.host_ports:
        return
    yield "nat", HOST_PORTS_CHAIN, ""
    for jump in HOST_PORT_JUMPS:
        yield jump.table, jump.chain, jump.rule
    for entry in view.host_ports:
        if entry.host_ip:
            yield from _host_port(entry)
    anywhere = [entry for entry in view.host_ports if not entry.host_ip]
    if anywhere:
        about = comment("loopback is not for host ports without a hostIP")
        yield "nat", HOST_PORTS_CHAIN, f"-d {addresses.LOOPBACK[view.family]} {about} -j RETURN"
    for entry in anywhere:
        yield from _host_port(entry)


def _host_port(entry: HostPort) -> Iterator[Entry]:
    chain = names.host_port_chain_name(entry.pod_id, entry.host_port, entry.protocol)
    protocol = entry.protocol.lower()
    about = matches = comment(f"{entry.pod}_{entry.namespace} hostport {entry.host_port}")
    if is_on_loopback(entry):
        matches = f"{about} {LOCAL_SOURCE}"  # a neighbour, too, can send to the node's loopback (CVE-2020-8558)
    to_host = f"-d {addresses.host_network(entry.host_ip)} " if entry.host_ip else ""
    yield "nat", HOST_PORTS_CHAIN, f"{to_host}{to_port(protocol, entry.host_port, matches)} -j {chain}"
    for address in entry.addresses[:1]:
        yield "nat", chain, f"-s {addresses.host_network(address)} {about} -j KUBE-MARK-MASQ"
        if is_on_loopback(entry):
            loopback = addresses.LOOPBACK[addresses.family_of(entry.host_ip)]
            yield "nat", chain, f"-s {loopback} {about} -j KUBE-MARK-MASQ"
        destination = addresses.host_port(address, entry.port)
        yield "nat", chain, f"-p {protocol} {about} -m {protocol} -j DNAT --to-destination {destination}"


# --- pieces of a rule, in the order in which iptables-save prints them


def commented(end: str) -> Callable[[str], str]:
    return lambda start: comment(f"{start} {end}")


def to(ip: str, protocol: str, port: int) -> Callable[[str], str]:
    """Packets to ``ip:port``, with a comment."""
    return lambda comment: f"-d {addresses.host_network(ip)} {to_port(protocol, port, comment)}"


def to_port(protocol: str, port: int, matches: str) -> str:
    return f"-p {protocol} {matches} -m {protocol} --dport {port}"


def source(network: str) -> str:
    """``-s`` and the network; nothing for the network of all addresses, which the kernel does not keep."""
    return "" if network in addresses.ANY.values() else f"-s {network} "


def words(*parts: str) -> str:
    return " ".join(part for part in parts if part)
