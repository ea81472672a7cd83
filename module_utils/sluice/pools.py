"""Pools of addresses for load balancers: a value of ``sluice_load_balancer_pools``."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import addresses


class Pool(NamedTuple):
    """Addresses that LoadBalancer Services may be given.

    ``blocks``: CIDRs, or ``first-last``, canonical. ``auto``: also for Services that do not name the pool.
    ``namespaces`` and ``selector`` (labels of a Service) narrow down whose it is. ``avoid_buggy_ips``: not the IPv4
    addresses that end with 0 or 255, which some old equipment drops.
    """

    name: str
    blocks: tuple[str, ...]
    auto: bool = True
    namespaces: tuple[str, ...] = ()
    selector: tuple[tuple[str, str], ...] = ()
    avoid_buggy_ips: bool = False

    def is_for(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a Service of ``namespace`` with these ``labels`` may have its addresses."""
        return (not self.namespaces or namespace in self.namespaces) and dict(self.selector).items() <= labels.items()


def block(text: object) -> str:
    """The canonical form of a CIDR or of ``first-last``, or ``""`` where ``text`` is neither."""
    if not isinstance(text, str):
        return ""
    first, dash, last = (part.strip() for part in text.replace("\N{EN DASH}", "-").partition("-"))
    if not dash:
        return addresses.network(addresses.host_network(addresses.address(first)) if "/" not in first else first)
    first, last = addresses.address(first), addresses.address(last)
    if not (first and last) or addresses.family_of(first) != addresses.family_of(last) or number(first) > number(last):
        return ""
    return f"{first}-{last}"


def bounds(text: str) -> tuple[int, int]:
    """The first and the last address of a block, as numbers."""
    first, dash, last = text.partition("-")
    if dash:
        return number(first), number(last)
    network = ipaddress.ip_network(text)
    return int(network.network_address), int(network.broadcast_address)


def number(address: str) -> int:
    """An address as a number."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return int.from_bytes(socket.inet_pton(family, address), "big")


def address(found: int, family: str) -> str:
    """The address that is ``found`` as a number."""
    return str((ipaddress.IPv6Address if family == addresses.IPV6 else ipaddress.IPv4Address)(found))


_KEYS = ("name", "addresses", "auto", "namespaces", "selector", "avoid_buggy_ips")


def read(value: Any) -> tuple[Pool, ...]:
    """The pools that a setting holds. Raises ValueError, which says what is wrong."""
    if not _is_list(value):
        raise ValueError(f"must be a list of pools, is {value!r}")
    found = tuple(_pool(entry, index) for index, entry in enumerate(value))
    names = [pool.name for pool in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two pools have the name {name!r}")
    return found


def _pool(entry: Any, index: int) -> Pool:
    if not isinstance(entry, Mapping):
        raise ValueError(f"[{index}] must be a mapping with name and addresses, is {entry!r}")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"[{index}].name must be text, is {name!r}")

    def wrong(key: str, what: str) -> ValueError:
        return ValueError(f"{name}: {key} {what}, is {entry.get(key)!r}")

    unknown = sorted(str(key) for key in entry if key not in _KEYS)
    if unknown:
        raise ValueError(f"{name}: there is no {unknown[0]!r}: a pool has {', '.join(_KEYS)}")
    texts = entry.get("addresses") or ()
    if isinstance(texts, str):  # as in the other settings that are lists
        texts = texts.split(",")
    blocks = [block(text) for text in texts] if _is_list(texts) else []
    if not blocks or not all(blocks):
        raise wrong("addresses", "must be a list of CIDRs, or of first-last")
    for key in ("auto", "avoid_buggy_ips"):
        if entry.get(key) not in (None, True, False):
            raise wrong(key, "must be true or false")
    namespaces, selector = entry.get("namespaces") or (), entry.get("selector") or {}
    if not _is_list(namespaces) or not all(isinstance(text, str) for text in namespaces):
        raise wrong("namespaces", "must be a list of names")
    if not isinstance(selector, Mapping) or not all(
        isinstance(text, str) for pair in selector.items() for text in pair
    ):
        raise wrong("selector", "must map labels to text")
    return Pool(
        name=str(name),
        blocks=tuple(blocks),
        auto=entry.get("auto") is not False,
        namespaces=tuple(map(str, namespaces)),
        selector=tuple(sorted((str(key), str(text)) for key, text in selector.items())),
        avoid_buggy_ips=entry.get("avoid_buggy_ips") is True,
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def to_value(pools: Sequence[Pool]) -> list[dict[str, Any]]:
    """What ``read`` makes ``pools`` of."""
    return [
        {
            "name": pool.name,
            "addresses": list(pool.blocks),
            "auto": pool.auto,
            "namespaces": list(pool.namespaces),
            "selector": dict(pool.selector),
            "avoid_buggy_ips": pool.avoid_buggy_ips,
        }
        for pool in pools
    ]
