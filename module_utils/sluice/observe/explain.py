"""A node's rules as a whole: the Services in them, how many rules of which kind, by which law, and what is odd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from . import laws, rule_counts
from .laws import Size, Style
from .oddities import oddities
from .oddity import Oddity
from .rule_counts import Count
from .service_ports import IPTABLES, IPVS, KUBE_PROXY, SLUICE, ServicePort
from .services import services
from .snapshot import Snapshot

TIMES = 10
"""How many times the Services there are it is told of what they would take."""


class Law(NamedTuple):
    """How many entries a service port has. ``says``: in words. ``holds``, ``of``: for how many of all it is so.

    ``exceptions``: the others, by what they have.
    """

    backend: str
    says: str
    holds: int
    of: int
    exceptions: tuple[str, ...]


class Explanation(NamedTuple):
    """``now`` and ``then``: what Services take in each backend, and would take if there were TIMES as many."""

    ports: Sequence[ServicePort]
    counts: Sequence[Count]
    laws: Sequence[Law]
    now: Size
    then: Size
    oddities: Sequence[Oddity]
    untold: Sequence[str] = ()
    """What the dumps do not hold, though such a node has it: a line for each."""

    @property
    def is_well(self) -> bool:
        """Whether no oddity hurts packets."""
        return not any(each.hurts for each in self.oddities)

    def fields(self) -> dict[str, Any]:
        """As ``sluice explain --json`` prints it."""
        return {
            "services": [port.fields() for port in self.ports],
            "counts": [each._asdict() for each in self.counts],
            "laws": [each._asdict() for each in self.laws],
            "sizes": {"now": self.now._asdict(), f"times_{TIMES}": self.then._asdict()},
            "oddities": [each._asdict() for each in self.oddities],
            "untold": list(self.untold),
        }


def explain(snapshot: Snapshot) -> Explanation:
    """All that a node's dumps tell."""
    ports = services(snapshot)
    style = rule_counts.style(snapshot)
    own = len(snapshot.addresses - snapshot.bound) or 1
    each = {(port.name, port.family, port.protocol, port.cluster_ip, port.port): port for port in ports}.values()
    now = laws.size(each, style, own)
    return Explanation(
        ports,
        rule_counts.counts(snapshot),
        _laws(ports, style),
        now,
        Size(*(TIMES * number for number in now)),
        oddities(snapshot, ports, style),
        list(_untold(snapshot)),
    )


def _untold(snapshot: Snapshot) -> Iterator[str]:
    yield from (f"not all rules could be read: {why}" for why in snapshot.unread)
    for variant, tables in snapshot.iptables.items():
        where = f"{IPTABLES}{f'-{variant.name}' if variant.name else ''} {variant.family}"
        if tables.is_piece:
            which = " and ".join(tables.rules)
            yield f"{where}: this is a piece of {which}, not a whole dump: nothing is said of what may be missing"
            continue
        has = tables.rules.keys()
        if tables.chain("nat", "KUBE-SERVICES") is not None and "filter" not in has:
            yield f"{where}: there is no table filter: nothing is said of what is forwarded, refused or fenced"
        elif tables.chain("filter", "KUBE-FORWARD") is not None and "nat" not in has:
            yield f"{where}: there is no table nat: nothing is said of Services' addresses and endpoints"
    if snapshot.servers and not snapshot.sets:
        yield "IPVS: there are no IP sets (ipset save): nothing is said of what is masqueraded or fenced"
    if snapshot.servers and not snapshot.iptables:
        yield "IPVS: there are no rules (iptables-save): nothing is said of what is masqueraded or fenced"


def _laws(ports: Sequence[ServicePort], style: Style) -> list[Law]:
    found = []
    held = {
        IPTABLES: [port for port in ports if port.source.startswith(IPTABLES)],
        IPVS: [port for port in ports if port.source == IPVS],
        SLUICE: [port for port in ports if port.source == SLUICE],
    }
    for backend, own in held.items():
        if own:
            found.append(_law(backend, own, style))
    if any(port.source == KUBE_PROXY for port in ports):
        found.append(Law(KUBE_PROXY, _KUBE_PROXY, 0, 0, ()))
    return found


def _law(backend: str, ports: Sequence[ServicePort], style: Style) -> Law:
    exceptions = []
    for port in ports:
        wanted = laws.entries(port, style)
        if wanted != port.entries:
            name = port.name or f"{port.cluster_ip}:{port.port}"
            exceptions.append(f"{name}: {port.entries} instead of {wanted}")
    return Law(backend, _words(backend, style), len(ports) - len(exceptions), len(ports), tuple(exceptions))


def _words(backend: str, style: Style) -> str:
    if backend == IPVS:
        return (
            "a Service with a addresses and n endpoints has a virtual servers and a * n real ones "
            "(a node port counts once per address of the node); rules are as many however many Services there are"
        )
    if backend == SLUICE:
        return (
            "a ClusterIP Service with n endpoints has 2 + n elements (2 + 2n with session affinity); another address "
            "adds 1; rules are as many however many Services there are"
        )
    first = 1 + style.masquerades
    if style.is_old:
        more = "a node port adds 2 rules, an external IP 3, a load balancer IP 4 (kube-proxy up to 1.23)"
    else:
        more = "each other address adds 1 rule, and the first one a chain of 2 (kube-proxy since 1.24)"
    return (
        f"a ClusterIP Service with n endpoints has {first} + 3n rules ({first} + 4n with session affinity), and 1 "
        f"without endpoints; {more}"
    )


_KUBE_PROXY = (
    "a ClusterIP Service with n endpoints has 2 rules, the second one with n endpoints in it, and 1 element "
    "(with session affinity 2 + n rules, and a chain of 3 per endpoint)"
)
