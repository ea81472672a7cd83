"""What differs between the kube-proxy releases whose IPVS mode Sluice reproduces. Data, not code.

Sets go by the name that they have for IPv4, without its ``KUBE-``.
"""

from __future__ import annotations

from typing import NamedTuple

from ..iptables.dialect import NAT_JUMPS, Jump
from ..iptables.text import comment

HASH_PORT, HASH_PORT_IP, HASH_PORT_NET, HASH_IP = "hash:ip,port", "hash:ip,port,ip", "hash:ip,port,net", "hash:ip"
BITMAP = "bitmap:port"

DROP_CHAIN = "SLUICE-FIREWALL"
"""Up to 1.20: drops what KUBE-MARK-DROP marked. A kubelet does so in its KUBE-FIREWALL, here another chain's name.

Since then it is there only where loopback is served, for what neighbours send to it.
"""
DROP_JUMP = Jump("filter", "INPUT", "", DROP_CHAIN)

COMMENTS = {
    "LOOP-BACK": "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
    "CLUSTER-IP": "Kubernetes service cluster ip + port for masquerade purpose",
    "EXTERNAL-IP": "Kubernetes service external ip + port for masquerade and filter purpose",
    "EXTERNAL-IP-LOCAL": "Kubernetes service external ip + port with externalTrafficPolicy=local",
    "LOAD-BALANCER": "Kubernetes service lb portal",
    "LOAD-BALANCER-FW": "Kubernetes service load balancer ip + port for load balancer with sourceRange",
    "LOAD-BALANCER-LOCAL": "Kubernetes service load balancer ip + port with externalTrafficPolicy=local",
    "LOAD-BALANCER-SOURCE-IP": "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
    "LOAD-BALANCER-SOURCE-CIDR": "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
    "NODE-PORT-TCP": "Kubernetes nodeport TCP port for masquerade purpose",
    "NODE-PORT-LOCAL-TCP": "Kubernetes nodeport TCP port with externalTrafficPolicy=local",
    "NODE-PORT-UDP": "Kubernetes nodeport UDP port for masquerade purpose",
    "NODE-PORT-LOCAL-UDP": "Kubernetes nodeport UDP port with externalTrafficPolicy=local",
    # iptables-save escapes the quotes.
    "NODE-PORT-SCTP-HASH": r"Kubernetes nodeport SCTP port for masquerade purpose with type \'hash ip:port\'",
    "NODE-PORT-LOCAL-SCTP-HASH": (
        r"Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type \'hash ip:port\'"
    ),
    "HEALTH-CHECK-NODE-PORT": "Kubernetes health check node port",
}
"""What the rules that match a set say about it."""

NODE_PORTS = {
    "tcp": ("NODE-PORT-TCP", "NODE-PORT-LOCAL-TCP"),
    "udp": ("NODE-PORT-UDP", "NODE-PORT-LOCAL-UDP"),
    "sctp": ("NODE-PORT-SCTP-HASH", "NODE-PORT-LOCAL-SCTP-HASH"),
}
"""The sets of a protocol's node ports: all of them, and those with externalTrafficPolicy Local."""


class SetRule(NamedTuple):
    """A rule for what is in a set; it is written only while the set has members."""

    table: str
    chain: str
    set_name: str
    directions: str
    target: str
    protocol: str = ""


class IpvsDialect(NamedTuple):
    """One kube-proxy release in IPVS mode. ``sets``: names and types; ``chains`` and ``jumps`` as in ``Dialect``."""

    sets: dict[str, str]
    chains: dict[str, tuple[str, ...]]
    jumps: tuple[Jump, ...]
    set_rules: tuple[SetRule, ...]
    endings: tuple[tuple[str, str, str], ...]
    """(table, chain, rule) that close the chains of ``set_rules``."""
    loopback_returns: bool
    """What comes from a loopback address is left alone."""
    loopback_node_ports: bool
    """Node ports answer on loopback addresses, too."""
    binds_own: bool
    """An address of a Service is bound even where it is one of the node's own (until kubernetes#115019)."""
    guard: bool
    """Host daemons are not reachable through the addresses of Services (kubernetes#72236)."""
    node_blocked: bool
    """A node outside loadBalancerSourceRanges does not reach the VIP either (kubernetes#119656)."""
    local_fallback: bool
    """Policy Local without a local endpoint sends to all, for the Pods of the node (kubernetes#97081)."""
    mh_port: bool
    """Scheduler mh also hashes the port."""


_SETS = {
    "LOOP-BACK": HASH_PORT_IP,
    "CLUSTER-IP": HASH_PORT,
    "EXTERNAL-IP": HASH_PORT,
    "EXTERNAL-IP-LOCAL": HASH_PORT,
    "LOAD-BALANCER": HASH_PORT,
    "LOAD-BALANCER-FW": HASH_PORT,
    "LOAD-BALANCER-LOCAL": HASH_PORT,
    "LOAD-BALANCER-SOURCE-IP": HASH_PORT_IP,
    "LOAD-BALANCER-SOURCE-CIDR": HASH_PORT_NET,
    "NODE-PORT-TCP": BITMAP,
    "NODE-PORT-LOCAL-TCP": BITMAP,
    "NODE-PORT-UDP": BITMAP,
    "NODE-PORT-LOCAL-UDP": BITMAP,
    "NODE-PORT-SCTP-HASH": HASH_PORT,
    "NODE-PORT-LOCAL-SCTP-HASH": HASH_PORT,
}

GUARD_SETS = {"HEALTH-CHECK-NODE-PORT": BITMAP, "IPVS-IPS": HASH_IP}
GUARD_JUMP = Jump("filter", "INPUT", comment("kubernetes ipvs access filter"), "KUBE-IPVS-FILTER")
"""What the guard needs where the release has none."""

_TO_LOAD_BALANCER = SetRule("nat", "KUBE-SERVICES", "LOAD-BALANCER", "dst,dst", "KUBE-LOAD-BALANCER")
_FROM_LOOP_BACK = SetRule("nat", "KUBE-POSTROUTING", "LOOP-BACK", "dst,dst,src", "MASQUERADE")
_LOCAL_LOAD_BALANCER = SetRule("nat", "KUBE-LOAD-BALANCER", "LOAD-BALANCER-LOCAL", "dst,dst", "RETURN")


def _node_port(protocol: str, directions: str, local_first: bool = True) -> tuple[SetRule, ...]:
    every, local = NODE_PORTS[protocol]
    rules = (
        SetRule("nat", "KUBE-NODE-PORT", local, directions, "RETURN", protocol),
        SetRule("nat", "KUBE-NODE-PORT", every, directions, "KUBE-MARK-MASQ", protocol),
    )
    return rules if local_first else rules[::-1]


def _firewall(table: str, chain: str, jump_from: str) -> tuple[SetRule, ...]:
    return (
        SetRule(table, jump_from, "LOAD-BALANCER-FW", "dst,dst", chain),
        SetRule(table, chain, "LOAD-BALANCER-SOURCE-CIDR", "dst,dst,src", "RETURN"),
        SetRule(table, chain, "LOAD-BALANCER-SOURCE-IP", "dst,dst,src", "RETURN"),
    )


_FORWARD = Jump("filter", "FORWARD", comment("kubernetes forwarding rules"), "KUBE-FORWARD")
_FIREWALL = comment("kube-proxy firewall rules")

_1_20 = IpvsDialect(
    sets=_SETS,
    chains={
        "filter": ("KUBE-FORWARD", DROP_CHAIN),
        "nat": (
            "KUBE-FIREWALL",
            "KUBE-LOAD-BALANCER",
            "KUBE-MARK-DROP",
            "KUBE-MARK-MASQ",
            "KUBE-NODE-PORT",
            "KUBE-POSTROUTING",
            "KUBE-SERVICES",
        ),
    },
    jumps=(
        DROP_JUMP,
        _FORWARD,
        Jump("filter", "OUTPUT", "", DROP_CHAIN),
        *NAT_JUMPS,
    ),
    set_rules=(
        _FROM_LOOP_BACK,
        _TO_LOAD_BALANCER,
        *_firewall("nat", "KUBE-FIREWALL", "KUBE-LOAD-BALANCER"),
        _LOCAL_LOAD_BALANCER,
        *_node_port("tcp", "dst"),
        *_node_port("udp", "dst"),
        # kube-proxy has this pair the wrong way round up to 1.20: SCTP is masqueraded even with policy Local.
        *_node_port("sctp", "dst,dst", local_first=False),
    ),
    endings=(
        ("nat", "KUBE-LOAD-BALANCER", "-j KUBE-MARK-MASQ"),
        ("nat", "KUBE-FIREWALL", "-j KUBE-MARK-DROP"),
    ),
    loopback_returns=False,
    loopback_node_ports=True,
    binds_own=True,
    guard=False,
    node_blocked=False,
    local_fallback=False,
    mh_port=False,
)

_1_36 = IpvsDialect(
    sets={**_SETS, **GUARD_SETS},
    chains={
        "filter": (
            "KUBE-FORWARD",
            "KUBE-IPVS-FILTER",
            "KUBE-IPVS-OUT-FILTER",
            "KUBE-NODE-PORT",
            "KUBE-PROXY-FIREWALL",
            "KUBE-SOURCE-RANGES-FIREWALL",
        ),
        "nat": ("KUBE-LOAD-BALANCER", "KUBE-MARK-MASQ", "KUBE-NODE-PORT", "KUBE-POSTROUTING", "KUBE-SERVICES"),
    },
    jumps=(
        GUARD_JUMP,
        Jump("filter", "INPUT", _FIREWALL, "KUBE-PROXY-FIREWALL"),
        Jump("filter", "INPUT", comment("kubernetes health check rules"), "KUBE-NODE-PORT"),
        Jump("filter", "FORWARD", _FIREWALL, "KUBE-PROXY-FIREWALL"),
        _FORWARD,
        Jump("filter", "OUTPUT", comment("kubernetes ipvs access filter"), "KUBE-IPVS-OUT-FILTER"),
        *NAT_JUMPS,
    ),
    set_rules=(
        _FROM_LOOP_BACK,
        _TO_LOAD_BALANCER,
        _LOCAL_LOAD_BALANCER,
        *_node_port("tcp", "dst"),
        *_node_port("udp", "dst"),
        *_node_port("sctp", "dst,dst"),
        *_firewall("filter", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-PROXY-FIREWALL"),
    ),
    endings=(
        ("nat", "KUBE-LOAD-BALANCER", "-j KUBE-MARK-MASQ"),
        ("filter", "KUBE-SOURCE-RANGES-FIREWALL", "-j DROP"),
    ),
    loopback_returns=True,
    loopback_node_ports=False,
    binds_own=False,
    guard=True,
    node_blocked=True,
    local_fallback=True,
    mh_port=True,
)

DIALECTS = {"1.18": _1_20, "1.20": _1_20, "1.36": _1_36}
