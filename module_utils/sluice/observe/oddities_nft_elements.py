"""Oddities of the sets and maps of kube-proxy's nftables mode: an address that leads to others, or to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import names
from .nftables import Table
from .services_flat import elements
from .services_nftables import OF_A_SERVICE, leads_to

PAST = "what it sends on keeps its client's address: endpoints answer past this node, and clients take no answer"
CUT = "..."
"""What the name of a chain ends in that would be too long."""

Lacking = Iterator[tuple[str, str, str]]
"""What is odd, where, and what comes of it."""


def found(table: Table) -> Lacking:
    """Those of one table."""
    inside = {key for key, _data, _about in elements(table, "cluster-ips")}
    served: dict[Any, str] = {}
    owners: dict[Any, str] = {}
    right = wrong = 0
    strange: list[str] = []
    for kind in ("service-ips", "no-endpoint-services", "service-nodeports"):
        for key, data, about in elements(table, kind):
            led = leads_to(data)
            part = OF_A_SERVICE.match(led)
            place = f"{kind} {', '.join(map(str, key))}"
            if kind != "service-nodeports":
                served[key[0]] = led
            if not part or led.endswith(CUT):
                continue
            parts = part[3].split("/")
            if len(parts) > 2 and parts[2] != key[-2]:
                yield "address that leads to a chain of another protocol", place, "it sends its packets nowhere"
            if names.hashed(part[3], 8) == part[2]:
                right += 1
            else:
                wrong += 1
                strange.append(f"{place} to {led}")
            whose = "/".join(parts[:2])
            if about and not about.startswith((f"{whose}:", f"{whose} ")) and about != whose:
                yield (
                    "Service that leads to another one's chain",
                    f"{place} of {about} to {led}",
                    "its clients are sent to endpoints of another Service",
                )
            if kind == "service-ips" and key[0] in inside and owners.setdefault(key[0], whose) != whose:
                effect = "its clients are sent to endpoints of another Service"
                yield "one cluster IP that leads to two Services", f"{key[0]}: {owners[key[0]]} and {whose}", effect
            if kind == "service-ips" and led.startswith(("service-", "local-")) and inside and key[0] not in inside:
                yield "cluster IP that is not in cluster-ips", place, PAST
    if right and right >= wrong:
        for each in strange:
            yield "Service that leads to a chain that is not named after it", each, "its clients may be sent elsewhere"
    for address in sorted(map(str, inside - served.keys())):
        yield "cluster IP that no map leads on", address, "its clients are refused, and no endpoint gets their packets"
    has_ports = bool(table.listed.get("service-nodeports", {}).get("elem"))
    if has_ports and "nodeport-ips" in table.listed and not table.listed["nodeport-ips"].get("elem"):
        yield "node ports at no address of the node", "nodeport-ips is empty", "no node port answers"
