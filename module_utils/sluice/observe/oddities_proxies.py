"""Two programs that rewrite the same Services: whose rules come first decides, and the other's endpoints are stale."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from .. import addresses
from ..backends.iptables.ownership import PROXY_CHAIN
from ..backends.iptables.text import OWNER_CHAIN, PREFIX_CHAINS
from .oddity import Oddity, few
from .service_ports import IPTABLES, IPVS, KUBE_PROXY, ServicePort
from .services import ways_in
from .snapshot import LEGACY, NFT, Snapshot

_OF_KUBE_ROUTER = ("KUBE-ROUTER-SERVICES", "KUBE-ROUTER-HAIRPIN")


def found(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """Those of a node."""
    yield from _kube_router(snapshot, ports)
    yield from _came_later(snapshot)
    at: dict[str, dict[tuple[str, int, str], str]] = {}
    for port in ports:
        own = at.setdefault(port.source, {})
        own.update((way, port.name or addresses.host_port(*way[:2])) for way in ways_in(port))
        if port.node_port:
            own["", port.node_port, port.protocol] = port.name or f"node port {port.node_port}"
    for first, second in itertools.combinations(sorted(at), 2):
        both = sorted({at[first][way] for way in at[first].keys() & at[second].keys()})
        variants = {first, second} == {f"{IPTABLES}-{LEGACY}", f"{IPTABLES}-{NFT}"}
        beside = KUBE_PROXY in (first, second)
        if not (both or beside):
            continue
        yield Oddity(
            "the same Services in both variants of iptables" if variants else "two proxies on one node",
            f"{first} and {second}: {few(both) or 'no Service in common'}",
            "the rules that come first send a connection on; if theirs are old, to endpoints that are gone",
            "stop one of the proxies, and remove its rules (kube-proxy --cleanup; the other variant's iptables -F, -X)",
            bool(both),
        )


def _came_later(snapshot: Snapshot) -> Iterator[Oddity]:
    """Marks of Sluice in tables that are another one's, or of an earlier Sluice's."""
    for variant, tables in snapshot.iptables.items():
        where = " ".join(filter(None, (f"{IPTABLES}-{variant.name}" if variant.name else IPTABLES, variant.family)))
        both = [table for table, chains in tables.rules.items() if OWNER_CHAIN in chains and PROXY_CHAIN in chains]
        if both:
            yield Oddity(
                "a kube-proxy has taken over what Sluice had",
                f"{where}: {', '.join(both)}: {PROXY_CHAIN} beside {OWNER_CHAIN}",
                "none: the rules are the kube-proxy's, and Sluice leaves them alone",
                "sluice remove, or sluice_takeover: true once it is stopped",
                hurts=False,
            )
        former = {chain for chains in tables.rules.values() for chain in chains if chain.startswith(PREFIX_CHAINS[1:])}
        if former:
            yield Oddity(
                "chains of an earlier Sluice",
                f"{where}: {few(sorted(former))}",
                "none; but a kube-proxy that comes later cannot remove what they jump to",
                "sluice apply of this version gives them other names",
                hurts=False,
            )


def _kube_router(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """One that balances by IPVS as well: its chains for network policies alone are in nobody's way."""
    chains = {
        chain
        for tables in snapshot.iptables.values()
        for table in tables.rules.values()
        for chain in table
        if chain.startswith(_OF_KUBE_ROUTER)
    }
    others = sorted({port.source for port in ports if port.source != IPVS})
    if chains and others:
        yield Oddity(
            "two proxies on one node",
            f"a kube-router ({few(sorted(chains))}) and {few(others)}",
            "whichever rules a packet meets first decide; endpoints of the other are stale as soon as one is stopped",
            "run it with --run-service-proxy=false, and remove what it has left (kube-router --cleanup-config)",
            hurts=True,
        )
