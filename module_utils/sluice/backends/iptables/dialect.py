"""What differs between the kube-proxy releases whose iptables rules Sluice reproduces. Data, not code."""

from __future__ import annotations

from typing import NamedTuple

from .text import HOST_PORTS_CHAIN, comment


class Jump(NamedTuple):
    """A rule in a built-in chain that leads to one of our chains. ``match`` is in iptables-save form."""

    table: str
    chain: str
    match: str
    target: str

    @property
    def rule(self) -> str:
        return f"{self.match} -j {self.target}".lstrip()


class Dialect(NamedTuple):
    """The iptables rules of one kube-proxy release, besides what ``release.Release`` says of it.

    ``chains``: the chains that exist whatever the catalogue holds, by table; ``jumps``: the rules in built-in chains,
    in the order in which they stand there.
    """

    chains: dict[str, tuple[str, ...]]
    jumps: tuple[Jump, ...]
    layout: str
    """How a service port is cut into chains: EXT (module layout_ext) or XLB (layout_xlb)."""
    liberal_setting: bool
    """Packets that conntrack does not know pass with ``sluice_conntrack_tcp_be_liberal``."""
    forward_comments: tuple[str, ...]
    """The comments of KUBE-FORWARD's rules that accept what belongs to a connection."""


EXT, XLB = "ext", "xlb"

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
    Jump("nat", chain, comment("kube hostport portals") + " -m addrtype --dst-type LOCAL", HOST_PORTS_CHAIN)
    for chain in ("PREROUTING", "OUTPUT")
)
"""Appended, so that KUBE-SERVICES is asked first; only where the catalogue has host ports."""

_1_20 = Dialect(
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
    layout=XLB,
    liberal_setting=False,
    forward_comments=(
        "kubernetes forwarding conntrack pod source rule",
        "kubernetes forwarding conntrack pod destination rule",
    ),
)

_1_36 = Dialect(
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
    layout=EXT,
    liberal_setting=True,
    forward_comments=("kubernetes forwarding conntrack rule",),
)

DIALECTS = {"1.18": _1_20, "1.20": _1_20, "1.36": _1_36}
