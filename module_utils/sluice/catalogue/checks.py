"""What the nodes' settings say about the catalogue as a whole."""

from __future__ import annotations

from typing import NamedTuple


class Checks(NamedTuple):
    """What the nodes' settings say about the catalogue as a whole."""

    nodeport_range: tuple[int, int] = (30000, 32767)
    service_cidrs: tuple[str, ...] = ()
    node_addresses: tuple[str, ...] = ()
    schedulers: tuple[str, ...] = ()
    """What balances a Service that does not say, on the nodes whose backend has schedulers."""


NO_CHECKS = Checks()
"""Kubernetes' defaults, where no node is known."""
