"""A catalogue from what a command or a role was given: manifests, a compiled catalogue, inventory hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from . import addresses, manifests, validation
from .catalogue import Catalogue, load_compiled
from .faults import Fault, InputError
from .settings import Settings
from .view import ZONE_LABEL


def checks_for(nodes: Sequence[Settings]) -> validation.Checks:
    """What the settings of all ``nodes`` say about the catalogue as a whole."""
    ranges = {settings.nodeport_range for settings in nodes} or {Settings().nodeport_range}
    return validation.Checks(
        # A node port is served by every node, so it has to lie in the range of each.
        nodeport_range=(max(low for low, _high in ranges), min(high for _low, high in ranges)),
        service_cidrs=tuple(dict.fromkeys(net for settings in nodes for net in settings.service_cidrs)),
        schedulers=tuple(dict.fromkeys(entry.ipvs_scheduler for entry in nodes if entry.backend == "ipvs")),
        node_addresses=tuple(dict.fromkeys(text for settings in nodes for text in settings.node_addresses)),
    )


def endpoint_hosts(entries: Iterable[Mapping[str, Any]]) -> list[validation.EndpointHost]:
    """Inventory hosts that may be endpoints, from mappings of their variables.

    ``name`` is the host's; the others are variables without their prefix: ``labels``, ``endpoint_ip`` (an address, or
    a list of one a family), ``ports``, ``node``, ``ready``, ``weight``. Raises InputError with every fault.
    """
    found: list[validation.EndpointHost] = []
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
        if not all(texts) or any(map(addresses.is_special, texts)):
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
            validation.EndpointHost(
                name=name,
                labels=own,
                addresses=tuple(dict.fromkeys(texts)),
                ports={str(key): int(port) for key, port in ports.items()},
                node=str(entry.get("node") or name),
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


def compiled_in(path: str) -> Catalogue | None:
    """The catalogue that the file ``path`` holds compiled, or None where it holds something else (or nothing)."""
    try:
        with open(path, encoding="utf-8") as stream:
            return load_compiled(stream.read()) if path.endswith(".json") else None
    except (OSError, UnicodeDecodeError):
        return None


def compiled(path: str) -> Catalogue:
    """The catalogue that the file ``path`` holds compiled. Raises InputError where it holds none."""
    found = compiled_in(path)
    if found is None:
        raise InputError([Fault(path, 0, "", "catalogue", "there is no compiled catalogue in it")])
    return found


class Sources(NamedTuple):
    """What was given, before it is understood: files as (name, text), inline objects, faults in reading them."""

    texts: list[tuple[str, str]]
    objects: Sequence[Any]
    faults: list[Fault]


def read(paths: Sequence[str], objects: Sequence[Any] = ()) -> Sources:
    """Read manifests in ``paths``, beside inline ``objects``."""
    texts, faults = manifests.read(paths)
    return Sources(texts, objects, faults)


def build(
    sources: Sources, hosts: Iterable[Mapping[str, Any]], checks: validation.Checks
) -> tuple[Catalogue, list[Fault]]:
    """The catalogue of ``sources`` and of inventory ``hosts``, with its warnings.

    Raises InputError with every fault of every source.
    """
    found, faults = manifests.parse(sources.texts)
    found += manifests.inline(sources.objects)
    faults = sources.faults + faults
    try:
        if not isinstance(hosts, Iterable) or isinstance(hosts, (str, Mapping)):
            raise InputError([Fault("inventory", 0, "", "sluice_endpoint_hosts", "must be a list of hosts")])
        selectable = endpoint_hosts(hosts)
    except InputError as error:
        faults, selectable = faults + error.faults, []
    catalogue, more = validation.build(found, selectable, checks)
    return validation.checked(catalogue, faults + more), faults + more
