"""Inventory hosts that Services may select as their endpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from .. import addresses
from ..faults import Fault, InputError
from .model import EVERY_NODE, ZONE_LABEL


class EndpointHost(NamedTuple):
    """An inventory host that Services may select: ``addresses`` one per family, ``ports`` its named target ports."""

    name: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    ports: Mapping[str, int]
    node: str
    zone: str
    ready: bool
    weight: int | None


def endpoint_hosts(entries: Iterable[Mapping[str, Any]], nodes: Collection[str] = ()) -> list[EndpointHost]:
    """Inventory hosts that may be endpoints, from mappings of their variables.

    ``name`` is the host's; the others are variables without their prefix: ``labels``, ``endpoint_ip`` (an address, or
    a list with one per family), ``ports``, ``node``, ``ready``, ``weight``. A host that names no node is itself one if
    it is among ``nodes``; else it counts as every node's own, since no node is nearer to it than another. Raises
    InputError with every fault.
    """
    found: list[EndpointHost] = []
    faults: list[Fault] = []
    for index, entry in enumerate(entries):
        name = str(entry.get("name", "")) if isinstance(entry, Mapping) else ""

        def fault(variable: str, message: str, host: str = name or f"number {index}") -> None:
            faults.append(Fault("inventory", 0, f"host {host}", variable and f"sluice_{variable}", message))

        if not isinstance(entry, Mapping):
            fault("", "must be a mapping of its variables")
            continue
        labels, ports, ready = entry.get("labels") or {}, entry.get("ports") or {}, entry.get("ready")
        raw = entry.get("endpoint_ip")
        texts = [addresses.address(text) for text in (raw if isinstance(raw, (list, tuple)) else [raw])]
        if not isinstance(labels, Mapping):
            fault("labels", f"must be a mapping, is {labels!r}")
        if not isinstance(ports, Mapping) or not all(_is_port(port) for port in ports.values()):
            fault("ports", f"must map names to ports from 1 to 65535, is {ports!r}")
        if raw is None:
            fault("endpoint_ip", "is not set, nor is ansible_host, which it is by default")
        elif not all(texts) or any(map(addresses.is_special, texts)):
            fault("endpoint_ip", f"{raw!r} is not an IP address that others reach (the default is ansible_host)")
        if ready not in (None, True, False):
            fault("ready", f"must be true or false, is {ready!r}")
        weight = entry.get("weight")
        if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= 65535):
            fault("weight", f"must be a whole number from 0 to 65535, is {weight!r}")
        if faults:
            continue
        own = {str(key): str(value) for key, value in labels.items()}
        found.append(
            EndpointHost(
                name=name,
                labels=own,
                addresses=tuple(dict.fromkeys(texts)),
                ports={str(key): int(port) for key, port in ports.items()},
                node=str(entry.get("node") or (name if name.lower() in nodes else EVERY_NODE)).lower(),
                zone=own.get(ZONE_LABEL, ""),
                ready=ready is not False,
                weight=weight,
            )
        )
    if faults:
        raise InputError(faults)
    return found


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
