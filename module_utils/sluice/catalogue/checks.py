"""What the nodes' settings say about the catalogue as a whole."""

from __future__ import annotations

from typing import NamedTuple

from ..pools import Pool
from .model import Node

DEFAULT_SERVICE_CIDRS = ("10.96.0.0/12", "fd00:10:96::/112")
"""Where cluster IPs are given from while sluice_service_cidrs is not set: kubeadm's default, and one of its kind."""


class Checks(NamedTuple):
    """What the nodes' settings say about the catalogue as a whole."""

    nodeport_range: tuple[int, int] = (30000, 32767)
    ip_families: tuple[str, ...] = ()
    """Those that some node programs, the primary one first; none where no node is known."""
    service_cidrs: tuple[str, ...] = ()
    load_balancer_pools: tuple[Pool, ...] = ()
    node_addresses: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    """The nodes themselves, for those who ask which there are; a Node object says more."""
    local_without_node: bool = False
    """Whether an endpoint that names no node is every node's own."""
    strict: bool = False
    """Whether what would be a warning is a fault."""
    inventory: bool = False
    """Whether all of an inventory is known, its hosts and nodes: what is not there is nowhere then."""
    schedulers: tuple[str, ...] = ()
    """What balances a Service that does not say, on the nodes whose backend has schedulers."""
    remembers_clients: int = 0
    """How many clients session affinity keeps per endpoint where no setting says it; 0: all, or settings say it."""


NO_CHECKS = Checks()
"""Kubernetes' defaults, where no node is known."""
