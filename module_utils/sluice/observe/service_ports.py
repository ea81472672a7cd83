"""A service port as the rules of a node tell of it."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from .. import addresses

CLUSTER, LOCAL, UNTOLD = "Cluster", "Local", ""
"""Traffic policies, and that rules do not tell which."""

NO_ENDPOINTS, NO_LOCAL_ENDPOINTS = "has no endpoints", "has no local endpoints"
"""Why nobody answers: a client is refused, or its packets are dropped."""

IPTABLES, IPVS, KUBE_PROXY, SLUICE = "iptables", "ipvs", "nftables kube-proxy", "nftables sluice"
"""Where Services are; those of iptables with the variant behind it, as far as a dump tells."""


class Endpoint(NamedTuple):
    """``text``: address and port. ``share``: of new connections. ``weight``: 0 where rules have shares only."""

    text: str
    share: Fraction
    weight: int = 0


Endpoints = tuple[Endpoint, ...]


class ServicePort(NamedTuple):
    """One port of one Service in one address family.

    ``name``: ``namespace/name:port``, empty where the rules have no names (IPVS). ``node_addresses``: where the node
    port answers, empty where it is at all of the node's. ``endpoints`` are those of traffic policy Cluster,
    ``local_endpoints`` those of policy Local. An address of which rules do not tell whose it is (one that is refused;
    any in nftables) stands with ``external_ips``. ``inside`` and ``outside``: why the cluster IP, or any other
    address, serves nobody. ``entries``: its rules (iptables, kube-proxy's nftables), virtual servers and real ones that
    get new connections (IPVS), or elements (Sluice's nftables).

    The others are for those who look for where rules come from. ``unsure_ips``: those of ``external_ips`` that may
    be its load balancer's. ``node_may_enter``: the node may, by a source range. ``on_node``: endpoints that are known
    to be there, besides ``local_endpoints``. ``kept``: those that only keep clients that they have,
    None where no rule tells. ``hashed``: what of a client decides where it goes, where chance does not.
    """

    source: str
    name: str
    protocol: str
    cluster_ip: str = ""
    port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    node_port: int = 0
    node_addresses: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0
    internal_policy: str = UNTOLD
    external_policy: str = UNTOLD
    health_check_node_port: int = 0
    endpoints: Endpoints = ()
    local_endpoints: Endpoints = ()
    inside: str = ""
    outside: str = ""
    entries: int = 0
    unsure_ips: tuple[str, ...] = ()
    node_may_enter: bool = False
    on_node: frozenset[str] = frozenset()
    kept: frozenset[str] | None = None
    hashed: str = ""

    @property
    def family(self) -> str:
        known = (self.cluster_ip, *self.external_ips, *self.load_balancer_ips, *self.node_addresses)
        known += tuple(addresses.split_port(each.text)[0] for each in (*self.endpoints, *self.local_endpoints)[:1])
        return addresses.family_of(next(filter(None, known), ""))

    @property
    def kind(self) -> str:
        """The least type of Service that has such addresses."""
        if self.load_balancer_ips:
            return "LoadBalancer"
        return "NodePort" if self.node_port else "ClusterIP"

    @property
    def all_endpoints(self) -> dict[str, Endpoint]:
        """Those of both policies, by address and port."""
        return {each.text: each for each in (*self.local_endpoints, *self.endpoints)}

    def fields(self) -> dict[str, Any]:
        """As ``sluice explain --json`` prints it."""
        told = {name: found for name, found in self._asdict().items() if name not in _NOT_PRINTED}
        return {
            **told,
            "type": self.kind,
            "endpoints": [_fields(each) for each in self.endpoints],
            "local_endpoints": [_fields(each) for each in self.local_endpoints],
        }


_NOT_PRINTED = ("unsure_ips", "node_may_enter", "on_node", "kept", "hashed")


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    return {"address": endpoint.text, "share": str(endpoint.share), "weight": endpoint.weight or None}


def evenly(texts: Iterable[str]) -> Endpoints:
    """Endpoints by slots of the same chance; one may have several of them."""
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    total = sum(counts.values())
    return tuple(Endpoint(text, Fraction(count, total)) for text, count in sorted(counts.items()))
