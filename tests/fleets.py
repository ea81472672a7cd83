"""What a fleet of nodes tells of itself, made up: rules are the engine's own, counters are drawn."""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import support

from sluice import render, view
from sluice.catalogue.model import Catalogue
from sluice.fleet.states import State, unpacked
from sluice.node import metrics, report, report_rows
from sluice.observe import explain
from sluice.observe.snapshot import snapshot
from sluice.outages import NO_OUTAGES, Outages

NOW = 1795996800
"""2026-11-30 00:00 UTC."""

FIRST_SIZE, PACKETS, PACKET_SIZE = 60, (8, 40), (90, 900)
"""Bytes of a packet that begins a TCP connection, and of connections their packets each way, and the bytes of these."""

MANY = 300
"""Connections from which on they are not drawn one by one."""

_NAMES = ("web", "cart", "checkout", "search", "login", "images", "stock", "mail", "queue", "metrics", "dns", "ledger")
_SPACES = ("shop", "edge", "payments", "infra", "media", "search", "mail", "telemetry")


class Node(NamedTuple):
    """One node of a fleet. ``more``: fields of its status that are otherwise than on a node that is well."""

    name: str
    backend: str = "iptables"
    compat: str = "1.36"
    generation: int = 7
    trouble: Sequence[str] = ()
    out: Outages = NO_OUTAGES
    more: Mapping[str, Any] = {}


def catalogue(services: int, endpoints: int, seed: int) -> Catalogue:
    """So many Services of all kinds, each with so many endpoints; every eighth one has a node port and more."""
    draw = random.Random(seed)
    objects: list[dict[str, Any]] = []
    for number in range(services):
        name = f"{_NAMES[number % len(_NAMES)]}-{number // len(_NAMES)}" if number >= len(_NAMES) else _NAMES[number]
        spec: dict[str, Any] = {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
        if number % 8 == 1:
            spec = {"type": "NodePort", "ports": [{**spec["ports"][0], "nodePort": 30000 + number % 2700}]}
        if number % 8 == 3:
            port = {**spec["ports"][0], "nodePort": 30000 + number % 2700}
            spec = {"type": "LoadBalancer", "ports": [port], "ingress": [f"203.0.113.{number // 8 % 250 + 1}"]}
        if number % 31 == 7:
            spec |= {"sessionAffinity": "ClientIP"}
        made = support.service(name, ip=f"10.96.{number // 250}.{number % 250 + 1}", **spec)
        made["metadata"]["namespace"] = _SPACES[number % len(_SPACES)]
        addresses = [f"10.{64 + number // 250}.{number % 250}.{10 + each}" for each in range(endpoints)]
        listed = [
            support.endpoint(address, f"worker{draw.randrange(40)}", ready=draw.random() > 0.002)
            for address in addresses
        ]
        piece = support.endpoint_slice(*listed, of=name, ports=[{"name": "http", "port": 8080, "protocol": "TCP"}])
        piece["metadata"]["namespace"] = made["metadata"]["namespace"]
        objects += [made, piece]
    return support.catalogue(*objects)


def states(nodes: Iterable[Node], of: Catalogue, seed: int, busy: float = 3.0) -> list[State]:
    """What they told. ``busy``: how many connections there were to a service port, as a power of ten in the middle."""
    draw = random.Random(seed)
    weights = {(service.full_name): draw.lognormvariate(0, 1.2) for service in of.services}
    kept: dict[tuple[str, str, Outages], dict[str, Any]] = {}
    found = []
    for node in nodes:
        key = node.backend, node.compat, node.out
        if key not in kept:
            kept[key] = _held(node, of)
        found.append(unpacked(node.name, packed(_told(node, of, kept[key], weights, busy, draw))))
    return found


def packed(told: Mapping[str, Any]) -> str:
    """As a node sends it."""
    return base64.b64encode(zlib.compress(json.dumps(told).encode())).decode()


def _held(node: Node, of: Catalogue) -> dict[str, Any]:
    settings = support.node(backend=node.backend, compat=node.compat)
    views = {family: view.view(of, settings, family, node.out) for family in settings.ip_families}
    written = render.render(views, settings)
    dumps = [(name, text) for name, text in written.items() if name != "settings.json"]
    dumped = snapshot(dumps)
    ports = [port._replace(source=port.source.replace("iptables", "iptables-nft")) for port in explain.services(dumped)]
    named = dumped._replace(iptables={each._replace(name="nft"): text for each, text in dumped.iptables.items()})
    rows = report_rows.rows(report_rows.Held(of, named, ports, {}, node.out, {}))
    return {"rows": rows, "rules": metrics.rule_counts(dict(dumps))}


def _told(
    node: Node, of: Catalogue, held: Mapping[str, Any], weights: Mapping[str, float], busy: float, draw: random.Random
) -> dict[str, Any]:
    whole = node.backend == "ipvs"
    rows = []
    for row in held["rows"]:
        service = row["name"].partition(":")[0]
        number = int(10**busy * weights.get(service, 0) * draw.uniform(0.7, 1.3))
        ends = _drawn(row, number, whole=whole, draw=draw)
        total = [sum(each) for each in zip(*ends.values())] or [0] * 5
        by = report_rows.BY_CONNTRACK if node.backend == "nftables" else ""
        if by:
            ends = {text: [count[0] // 20, 0, 0, 0, 0] for text, count in ends.items()}
        rows.append({**row, "counted": {"total": total, "whole": whole, "by": by, "ends": ends}})
    endpoints = [each for service in of.services for piece in service.slices for each in piece.endpoints]
    status = {
        "node": node.name, "backend": node.backend, "generation": node.generation, "since": "2026-11-29T21:14:09Z",
        "by": {"by": "ansible", "user": "ops", "detail": node.name, "host": "control"}, "pending": None,
        "services": len(of.services), "endpoints": len(endpoints), "ready": sum(each.ready for each in endpoints),
        "unrouted": [], "health": {"on": True, "supervisor": True, "checker": True, "checks": len(endpoints),
        "down": len(node.out.down), "error": None}, "drained": sorted(node.out.drained), "drained_node": False,
        "connections": draw.randrange(9000, 24000), "connections_max": 262144, "drift": False, "drift_lines": 0,
        "drift_unknown": None, "rolled_back": None, "last_error": None, "version": "0.1.0", **node.more,
    }  # fmt: skip
    return {
        "form": report.FORM, "time": NOW, "status": status, "trouble": list(node.trouble), "odd": [],
        "out": node.out.lines, "catalogue": node.more.get("catalogue", "5b1f0c2a9e77"),
        "settings": {"compat": node.compat, "ip_families": ["IPv4"], "iptables_dispatch": "linear"},
        "layers": sorted({group["source"] for row in rows for group in row["groups"]}),
        "rules": held["rules"], "rows": rows,
    }  # fmt: skip


def _drawn(row: Mapping[str, Any], connections: int, *, whole: bool, draw: random.Random) -> dict[str, list[int]]:
    """What each endpoint got, as chance has it."""
    ends = row["groups"][0]["cluster"] if row["groups"] else []
    weights = [float(Fraction(share)) for _text, share, _chain in ends]
    chosen = [0] * len(ends)
    if ends and connections < MANY:
        for at in draw.choices(range(len(ends)), weights, k=connections):
            chosen[at] += 1
    elif ends:
        for at, weight in enumerate(weights):
            fair = connections * weight
            chosen[at] = max(0, round(draw.gauss(fair, (fair * (1 - weight)) ** 0.5)))
    found = {}
    for (text, _share, _chain), count in zip(ends, chosen):
        if not whole:
            found[text] = [count, count, count * FIRST_SIZE, 0, 0]
            continue
        there, back = (int(count * draw.uniform(*PACKETS)) for _way in range(2))
        found[text] = [
            count,
            there,
            int(there * draw.uniform(*PACKET_SIZE)),
            back,
            int(back * draw.uniform(*PACKET_SIZE)),
        ]
    return found
