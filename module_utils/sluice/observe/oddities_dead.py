"""Endpoints that do not answer, or get no new connections, and the Services that share them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .. import addresses
from .oddity import Oddity, few
from .service_ports import IPVS, ServicePort
from .snapshot import Snapshot


def found(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    """Those of a node, as far as its health checks (``host:port``) or its neighbours (addresses) tell."""
    yield from _dead(snapshot, ports)
    yield from _drained(snapshot)


def _dead(snapshot: Snapshot, ports: Sequence[ServicePort]) -> Iterator[Oddity]:
    users: dict[str, dict[str, None]] = {}
    for port in ports if snapshot.dead else ():
        for text in port.all_endpoints:
            name = port.name or addresses.host_port(port.cluster_ip, port.port)
            address = addresses.split_port(text)[0]
            for dead in {text, address} & snapshot.dead:
                users.setdefault(dead, {})[name] = None
    for dead, names in users.items():
        shared = f"dead endpoint that {len(names)} Services share" if len(names) > 1 else "dead endpoint"
        yield Oddity(
            shared,
            f"{dead}: {few(list(names))}",
            "connections that are sent there get no answer, of each of these Services its share",
            "see to the host (ip neighbour, sluice health); sluice drain takes it out of all of them",
            True,
        )


def _drained(snapshot: Snapshot) -> Iterator[Oddity]:
    """A real server of weight 0 gets no new connections. Who is out is out of all Services that he serves."""
    out: dict[str, list[str]] = {}
    used: dict[str, list[str]] = {}
    for at, server in snapshot.servers.items():
        for text, real in server.real.items():
            place = f"{at.protocol} {addresses.host_port(at.address, at.port)}"
            (used if real.weight else out).setdefault(text, []).append(place)
    for text, places in out.items():
        if len(places) > 1 or text in used:
            still = f"; it still gets those of {few(used[text])}" if text in used else ""
            yield Oddity(
                f"endpoint of weight 0 that {len(places)} virtual servers share",
                f"{IPVS}: {text}: {few(places)}",
                f"it gets no new connections from them{still}",
                "nothing, if it drains; else sluice undrain, or see why the proxy holds it to terminate",
                False,
            )
