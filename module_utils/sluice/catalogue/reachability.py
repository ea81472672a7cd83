"""Services that are sound, and that somebody will ask for in vain: each is said, and nothing is refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .checks import Checks
from .model import EVERY_NODE, Service
from .reader import ObjectReader
from .syntax import Path

NAMED = 10
"""So many Services of a kind are named, the others counted: a cluster may have hundreds that rest."""

Entries = Iterable[tuple[ObjectReader, Service]]


def unreachable(services: Entries, checks: Checks) -> None:
    """Warnings for those that have no endpoint, on some node or at all: one for each kind of trouble."""
    found: dict[tuple[str, Path], list[ObjectReader]] = defaultdict(list)
    for entry, service in services:
        if entry.faulty:
            continue
        trouble = _without_endpoints(service) or _without_local_endpoints(service, checks)
        if trouble:
            found[trouble].append(entry)
    for (message, path), entries in found.items():
        first, *others = entries
        names = [entry.subject.partition(" ")[2] for entry in others[: NAMED - 1]]
        more = [f"{len(others) - len(names)} more"] if others[len(names) :] else []
        also = f"; also {', '.join([*names, *more])}" if others else ""
        first.fault(path, message + also, warning=True)


def _without_endpoints(service: Service) -> tuple[str, Path] | None:
    endpoints = [endpoint for piece in service.slices for endpoint in piece.endpoints]
    if any(endpoint.ready or (endpoint.serving and endpoint.terminating) for endpoint in endpoints):
        return None
    if endpoints:
        return "no endpoint is ready: connections are refused", ("spec",)
    if service.slices or not service.selector:
        return "has no endpoints: connections are refused", ("spec",)
    return "no host of the inventory has these labels: connections are refused", ("spec", "selector")


def _without_local_endpoints(service: Service, checks: Checks) -> tuple[str, Path] | None:
    own = {endpoint.node for piece in service.slices for endpoint in piece.endpoints if endpoint.ready}
    if not own or not checks.nodes or EVERY_NODE in own or ("" in own and checks.local_without_node):
        return None
    lacking = [node.name for node in checks.nodes if node.name not in own]
    from_outside = any(port.node_port for port in service.ports) or service.external_ips or service.ingress
    for policy, wanted in (
        ("externalTrafficPolicy", service.external_local and from_outside),
        ("internalTrafficPolicy", service.internal_local),
    ):
        if wanted and lacking:
            named = ", ".join(lacking[:NAMED]) + (", …" if lacking[NAMED:] else "")
            return f"policy Local, and no ready endpoint on {named}: packets are dropped there", ("spec", policy)
    return None
