"""Services in iptables' rules, as kube-proxy since 1.15 and Sluice program them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from ..addresses import ANY, host_network
from ..backends.iptables.text import PREFIX_CHAINS
from .iptables_matches import exact
from .iptables_rules import Tables, comment, target_name
from .service_ports import (
    CLUSTER,
    IPTABLES,
    LOCAL,
    NO_ENDPOINTS,
    NO_LOCAL_ENDPOINTS,
    Endpoint,
    Endpoints,
    ServicePort,
)

OF_A_SERVICE = re.compile(r"KUBE-(SVC|SVL|EXT|XLB|FW)-(?!PFX-)(\w+)")
"""A chain of a service port: its part, and the hash that all of its chains have. One of the prefix dispatch is none."""

CHOOSING = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-XLB-")
"""How the chains begin that choose an endpoint."""

_PARTS = ("SVC", "SVL", "EXT", "XLB", "FW")
_DESTINATION = re.compile(r"(?:^| )-d (\S+?)(?:/32|/128)?(?: |$)")
_SOURCE = re.compile(r"^-s (\S+) ")
_PROTOCOL = re.compile(r"(?:^| )-p (\S+)")
_PORT = re.compile(r" --dport (\d+)")
_PROBABILITY = " --probability "
_SECONDS = re.compile(r" --seconds (\d+)")
TO = " --to-destination "
_SAID = re.compile(
    r"^(\S+?):? (cluster IP|external IP|loadbalancer IP|has no endpoints|has no local endpoints"
    r"|health check node port|traffic not accepted by \S+)$"
)
_NUMBERS = {"6": "tcp", "17": "udp", "132": "sctp"}

_Chains = Mapping[str, Sequence[str]]


class Dispatch:
    """A rule that leads packets to a service port, or refuses them."""

    __slots__ = ("address", "name", "port", "protocol", "said", "target", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        about = comment(text)
        found = _SAID.match(about)
        self.name, self.said = (found[1], found[2]) if found else (about.rstrip(":"), "")
        destination = _DESTINATION.search(text)
        self.address = destination[1] if destination else ""
        protocol = _PROTOCOL.search(text)
        self.protocol = _NUMBERS.get(protocol[1], protocol[1]) if protocol else ""
        port = _PORT.search(text)
        self.port = int(port[1]) if port else 0
        self.target = target_name(text)

    @property
    def is_of_a_service(self) -> bool:
        return bool(self.port and self.protocol and "/" in self.name)


DISPATCH = (
    ("nat", "KUBE-SERVICES"),
    ("nat", "KUBE-NODEPORTS"),
    ("filter", "KUBE-SERVICES"),
    ("filter", "KUBE-EXTERNAL-SERVICES"),
    ("filter", "KUBE-PROXY-FIREWALL"),
    ("filter", "KUBE-NODEPORTS"),
)
"""The chains that list all Services."""


@functools.lru_cache(maxsize=4)  # a node has two families in two variants, and who asks asks again
def dispatch(tables: Tables) -> Sequence[tuple[str, str, Dispatch]]:
    """Every rule of those chains, with its table and chain.

    A tree of prefix chains stands for the chain that its trunk is in.
    """
    found = []
    for table, chain in DISPATCH:
        names = [chain]
        if chain == "KUBE-SERVICES":
            names += [name for name in tables.rules.get(table, ()) if name.startswith(PREFIX_CHAINS)]
        rules = (Dispatch(text) for name in names for text in tables.chain(table, name) or ())
        found += [(table, chain, rule) for rule in rules if not rule.target.startswith(PREFIX_CHAINS)]
    return found


def ports(tables: Tables, variant: str) -> Iterator[ServicePort]:
    """The service ports in the tables of one family."""
    found: dict[tuple[str, str], list[tuple[str, str, Dispatch]]] = {}
    for table, chain, rule in dispatch(tables):
        if rule.is_of_a_service:
            # The port that says how a node's endpoints are is of TCP, whatever the Service's protocol.
            key = rule.name, "" if chain == "KUBE-NODEPORTS" and table == "filter" else rule.protocol
            found.setdefault(key, []).append((table, chain, rule))
    checks = {name: rules[0][2].port for (name, protocol), rules in found.items() if not protocol}
    own = tuple(_node_addresses(tables.chain("nat", "KUBE-SERVICES") or ()))
    source = f"{IPTABLES}-{variant}" if variant else IPTABLES
    chains = tables.rules.get("nat", {})
    for (name, protocol), rules in found.items():
        if protocol:
            port = _port(ServicePort(source, name, protocol, health_check_node_port=checks.pop(name, 0)), rules, chains)
            yield port._replace(
                entries=port.entries + bool(port.health_check_node_port),
                node_addresses=own if port.node_port else (),
            )


def _node_addresses(rules: Iterable[str]) -> Iterator[str]:
    """Those of --nodeport-addresses."""
    for text in rules:
        if text.endswith("-j KUBE-NODEPORTS") and (found := _DESTINATION.search(text)) and "! -d" not in text:
            yield found[1]


def _port(port: ServicePort, rules: Sequence[tuple[str, str, Dispatch]], chains: _Chains) -> ServicePort:
    external: dict[str, None] = {}
    balanced: dict[str, None] = {}
    refused: dict[str, None] = {}
    inside: set[str] = set()  # the parts that the cluster IP leads to
    outside: set[str] = set()
    digest = ""
    for table, chain, rule in rules:
        part = OF_A_SERVICE.match(rule.target) if table == "nat" else None
        if part:
            digest = part[2]
        if table == "nat" and chain == "KUBE-NODEPORTS":
            port = port._replace(node_port=rule.port)
            outside.add(part[1] if part else "")
        elif rule.said == "cluster IP":
            port = port._replace(cluster_ip=rule.address, port=rule.port)
            inside.add(part[1] if part else "")
        elif rule.said in ("external IP", "loadbalancer IP"):
            (external if rule.said == "external IP" else balanced)[rule.address] = None
            port = port._replace(port=rule.port)
            outside.add(part[1] if part else "")
        elif rule.said in (NO_ENDPOINTS, NO_LOCAL_ENDPOINTS):
            if chain == "KUBE-SERVICES" and rule.address:
                port = port._replace(cluster_ip=rule.address, port=rule.port, inside=rule.said)
            elif rule.address:
                port = port._replace(port=rule.port, outside=rule.said)
                refused[rule.address] = None
            else:
                port = port._replace(node_port=rule.port, outside=rule.said)
    unsure = tuple(ip for ip in refused if ip not in external and ip not in balanced)
    port = port._replace(
        external_ips=(*external, *unsure),
        unsure_ips=unsure,
        load_balancer_ips=tuple(balanced),
        entries=len(rules),
    )
    return _with_chains(port, digest, inside, outside, chains)


def _with_chains(
    port: ServicePort, digest: str, inside: Iterable[str], outside: Iterable[str], chains: _Chains
) -> ServicePort:
    own = {part: chains.get(f"KUBE-{part}-{digest}", ()) for part in _PARTS} if digest else {}
    firewall, ext, xlb = own.get("FW", ()), own.get("EXT", ()), own.get("XLB", ())
    cluster = _balanced(own.get("SVC", ()), chains)
    local = _balanced(own.get("SVL", ()) or xlb, chains)
    if not port.outside and any(comment(text).endswith(NO_LOCAL_ENDPOINTS) for text in xlb):
        port = port._replace(outside=NO_LOCAL_ENDPOINTS)
    seconds = [_SECONDS.search(text) for part in ("SVC", "SVL", "XLB") for text in own.get(part, ())[:3]]
    vips = set(map(host_network, port.load_balancer_ips))
    sources = list(_sources(firewall))
    ranges = () if set(sources) <= {""} else dict.fromkeys(each for each in sources if each not in vips)
    ends = {target_name(text) for text in (*own.get("SVC", ()), *own.get("SVL", ()), *xlb)}
    return port._replace(
        endpoints=cluster,
        local_endpoints=local,
        affinity_seconds=next((int(found[1]) for found in seconds if found), 0),
        source_ranges=tuple(each or ANY[port.family] for each in ranges),
        # From the load balancer's own address comes what the node sends to it.
        node_may_enter=not vips.isdisjoint(sources),
        internal_policy=_internal(port, set(inside)),
        external_policy=_external(port, set(outside), firewall, ext),
        # A node that may enter has a rule for that, but what ranges it is in its rules do not tell.
        entries=port.entries
        + sum(map(len, own.values()))
        - sum(each in vips for each in sources)
        + sum(len(chains.get(end, ())) for end in ends if end.startswith("KUBE-SEP-")),
    )


def _sources(firewall: Iterable[str]) -> Iterator[str]:
    """The networks that a firewall chain lets through, ``""`` for all."""
    for text in firewall:
        if OF_A_SERVICE.match(target_name(text)):
            source = _SOURCE.match(text)
            yield source[1] if source else ""


def _internal(port: ServicePort, parts: set[str]) -> str:
    if "SVL" in parts or port.inside == NO_LOCAL_ENDPOINTS:
        return LOCAL
    return CLUSTER if "SVC" in parts else ""


def _external(port: ServicePort, parts: set[str], firewall: Iterable[str], ext: Iterable[str]) -> str:
    if "FW" in parts:
        targets = map(target_name, firewall)
        parts |= {found[1] for found in map(OF_A_SERVICE.match, targets) if found}
    if "XLB" in parts or port.outside == NO_LOCAL_ENDPOINTS:
        return LOCAL
    if "EXT" in parts and ext:
        return (
            CLUSTER if any(text.endswith("-j KUBE-MARK-MASQ") and "-m addrtype" not in text for text in ext) else LOCAL
        )
    return CLUSTER if "SVC" in parts else ""


def _balanced(rules: Iterable[str], chains: _Chains) -> Endpoints:
    found = list(cascade(rules))
    shares = shares_of(tuple(probability for _end, probability in found))
    together: dict[str, Fraction] = {}
    for (end, _probability), share in zip(found, shares):
        to = destination(chains.get(end, ()))
        if to:
            together[to] = together[to] + share if to in together else share
    return tuple(Endpoint(text, share) for text, share in sorted(together.items()))


def destination(rules: Sequence[str]) -> str:
    """Where the chain of an endpoint sends to; there are tens of thousands: no regular expressions here."""
    for text in reversed(rules):  # it is the last one, as a rule
        _before, option, rest = text.partition(TO)
        if option:
            return rest.partition(" ")[0]
    return ""


def chooses(chain: str) -> bool:
    """Whether that is the chain of a service port that chooses an endpoint."""
    return chain.startswith(CHOOSING) and not chain.startswith(PREFIX_CHAINS)


def cascade(rules: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The chains of endpoints of whom a rule sends to one by chance, and the probability, ``""`` for what is left."""
    for text in rules:
        place = text.rfind("KUBE-SEP-")
        if place >= 0 and " --rcheck " not in text:
            yield text[place:].partition(" ")[0], text.partition(_PROBABILITY)[2].partition(" ")[0]


@functools.lru_cache(maxsize=4096)
def shares_of(probabilities: tuple[str, ...]) -> tuple[Fraction, ...]:
    """Of all connections, what each rule of a cascade takes."""
    left, found = Fraction(1), []
    for text in probabilities:
        share = left * _exact(text) if text else left
        left -= share
        found.append(share)
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _exact(text: str) -> Fraction:
    """What is no probability takes nothing, as in a walk."""
    try:
        return exact(text)
    except ValueError:
        return Fraction(0)
