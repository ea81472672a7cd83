"""What differs between the kube-proxy releases whose iptables rules Sluice reproduces. Data, not code."""

from __future__ import annotations

from typing import NamedTuple


class Jump(NamedTuple):
    """A rule in a built-in chain that leads to a chain of ours. ``match`` is in iptables-save form."""

    table: str
    chain: str
    match: str
    target: str

    @property
    def rule(self) -> str:
        return f"{self.match} -j {self.target}".lstrip()


class Dialect(NamedTuple):
    """One kube-proxy release.

    ``chains``: the chains that exist whatever the catalogue holds, by table; ``jumps``: the rules in built-in chains,
    in the order in which they stand there.
    """

    name: str
    chains: dict[str, tuple[str, ...]]
    jumps: tuple[Jump, ...]
    trailing_colon: bool
    policies: str
    """``split`` (since 1.24): one chain a traffic policy, SVC, SVL and EXT; ``xlb``: SVC, and XLB for policy Local."""
    counts_unready: bool
    """Endpoints that are not ready are kept: they count for the threshold of the large cluster, too."""
    external_ip_policy: bool
    """externalTrafficPolicy counts for a ClusterIP Service with external IPs as well."""
    ip_mode: bool
    """An ingress with ipMode Proxy is left alone (KEP-1860)."""
    open_range: bool
    """A source range of all addresses is the same as no ranges (kubernetes#132722)."""
    internal_policy: bool
    """internalTrafficPolicy counts (KEP-2086)."""
    terminating_fallback: bool
    """Where no endpoint is ready, those that serve while they terminate are used (KEP-1669)."""
    hints: bool
    """Topology hints narrow traffic policy Cluster (KEP-2433, KEP-3015)."""
    forward_comments: tuple[str, ...]
    """The comments of KUBE-FORWARD's rules that accept what belongs to a connection."""


def comment(text: str) -> str:
    """A comment match. ``text`` holds no quote."""
    return f'-m comment --comment "{text}"'


_NEW = "-m conntrack --ctstate NEW "
_PORTALS = comment("kubernetes service portals")
_VISIBLE = _NEW + comment("kubernetes externally-visible service portals")
_FIREWALL = _NEW + comment("kubernetes load balancer firewall")

NAT_JUMPS = (
    Jump("nat", "PREROUTING", _PORTALS, "KUBE-SERVICES"),
    Jump("nat", "OUTPUT", _PORTALS, "KUBE-SERVICES"),
    Jump("nat", "POSTROUTING", comment("kubernetes postrouting rules"), "KUBE-POSTROUTING"),
)
"""The same in every release, and in IPVS mode as well."""

HOST_PORT_JUMPS = tuple(
    Jump("nat", chain, comment("kube hostport portals") + " -m addrtype --dst-type LOCAL", "KUBE-HOSTPORTS")
    for chain in ("PREROUTING", "OUTPUT")
)
"""Appended, so that KUBE-SERVICES is asked first; only where the catalogue has host ports."""

_1_20 = Dialect(
    name="1.20",
    chains={
        "filter": ("KUBE-EXTERNAL-SERVICES", "KUBE-FIREWALL", "KUBE-FORWARD", "KUBE-SERVICES"),
        "nat": ("KUBE-MARK-DROP", "KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-SERVICES"),
    },
    jumps=(
        Jump("filter", "INPUT", "", "KUBE-FIREWALL"),
        Jump("filter", "INPUT", _VISIBLE, "KUBE-EXTERNAL-SERVICES"),
        Jump("filter", "FORWARD", comment("kubernetes forwarding rules"), "KUBE-FORWARD"),
        Jump("filter", "FORWARD", _NEW + _PORTALS, "KUBE-SERVICES"),
        Jump("filter", "FORWARD", _VISIBLE, "KUBE-EXTERNAL-SERVICES"),
        Jump("filter", "OUTPUT", "", "KUBE-FIREWALL"),
        Jump("filter", "OUTPUT", _NEW + _PORTALS, "KUBE-SERVICES"),
        *NAT_JUMPS,
    ),
    trailing_colon=False,
    policies="xlb",
    counts_unready=False,
    external_ip_policy=False,
    ip_mode=False,
    open_range=False,
    internal_policy=False,
    terminating_fallback=False,
    hints=False,
    forward_comments=(
        "kubernetes forwarding conntrack pod source rule",
        "kubernetes forwarding conntrack pod destination rule",
    ),
)

_1_36 = Dialect(
    name="1.36",
    chains={
        "filter": (
            "KUBE-EXTERNAL-SERVICES",
            "KUBE-FIREWALL",
            "KUBE-FORWARD",
            "KUBE-NODEPORTS",
            "KUBE-PROXY-FIREWALL",
            "KUBE-SERVICES",
        ),
        "nat": ("KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-SERVICES"),
    },
    jumps=(
        Jump("filter", "INPUT", "", "KUBE-FIREWALL"),
        Jump("filter", "INPUT", _FIREWALL, "KUBE-PROXY-FIREWALL"),
        Jump("filter", "INPUT", comment("kubernetes health check service ports"), "KUBE-NODEPORTS"),
        Jump("filter", "INPUT", _VISIBLE, "KUBE-EXTERNAL-SERVICES"),
        Jump("filter", "FORWARD", _FIREWALL, "KUBE-PROXY-FIREWALL"),
        Jump("filter", "FORWARD", comment("kubernetes forwarding rules"), "KUBE-FORWARD"),
        Jump("filter", "FORWARD", _NEW + _PORTALS, "KUBE-SERVICES"),
        Jump("filter", "FORWARD", _VISIBLE, "KUBE-EXTERNAL-SERVICES"),
        Jump("filter", "OUTPUT", "", "KUBE-FIREWALL"),
        Jump("filter", "OUTPUT", _FIREWALL, "KUBE-PROXY-FIREWALL"),
        Jump("filter", "OUTPUT", _NEW + _PORTALS, "KUBE-SERVICES"),
        *NAT_JUMPS,
    ),
    trailing_colon=False,
    policies="split",
    counts_unready=True,
    external_ip_policy=True,
    ip_mode=True,
    open_range=True,
    internal_policy=True,
    terminating_fallback=True,
    hints=True,
    forward_comments=("kubernetes forwarding conntrack rule",),
)

DIALECTS = {
    "1.18": _1_20._replace(name="1.18", trailing_colon=True),
    "1.20": _1_20,
    "1.36": _1_36,
}
