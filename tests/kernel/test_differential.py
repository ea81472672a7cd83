"""For every packet, flat nftables do what kube-proxy's rules do: the same endpoints, source, refusal or drop.

Random catalogues are rendered for the iptables backend and for nftables, loaded one after the other into the same node,
and asked the same by clients in and out of source ranges, by endpoints, by the node itself and from loopback.
SLUICE_DIFFERENTIAL_SEED repeats a run, SLUICE_DIFFERENTIAL says how many catalogues per family.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import crossing
import pytest
import support
from crossing import CLIENTS, HOST_PORT, NODE, PODS, PORT, Answers, Crossing, Request
from test_nftables import bring

from sluice import render
from sluice.addresses import FAMILIES, IPV4
from sluice.backends.interface import Memo
from sluice.backends.iptables.text import FILES
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE
from sluice.catalogue.model import Catalogue
from sluice.settings import Settings

CATALOGUES = int(os.environ.get("SLUICE_DIFFERENTIAL", "2"))
SEED = int(os.environ.get("SLUICE_DIFFERENTIAL_SEED", "0")) or random.randrange(1, 2**32)
SERVICES = 10
TIMES, OF_STICKY, MORE = 24, 6, 96
"""How often each is asked, those with session affinity, and all where the answers differed: chance misses endpoints."""

BACKENDS = ("iptables", "nftables")
CIDR = {IPV4: "10.1.0.0/24"}
_TOOLS = {IPV4: ("iptables-legacy", "ip"), "IPv6": ("ip6tables-legacy", "ip6")}


@pytest.fixture(scope="module")
def network(needs_root: None) -> Iterator[Crossing]:
    with crossing.crossing() as found:
        yield found


@pytest.mark.parametrize("number", range(CATALOGUES))
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_becomes_of_every_packet(family: str, number: int, network: Crossing) -> None:
    print(f"test_differential.py: seed {SEED}", flush=True)
    source = random.Random(f"{SEED} {family} {number}")
    settings = _settings(source, family)
    services = [_service(source, family, index) for index in range(1, SERVICES + 1)]
    catalogue = support.catalogue(*(entry for each in services for entry in each), _pod(source, family))
    requests = _requests(catalogue, family)
    how = {"by_netlink": number % 2 == 0}
    first = [_answers(network, each, catalogue, settings, family, requests, **how) for each in BACKENDS]
    assert len({answer for each in first[0].values() for answer in each}) > 2
    odd = [request for request in requests if _meaning(request, first[0]) != _meaning(request, first[1])]
    again = [request._replace(times=MORE if request.times == TIMES else request.times) for request in odd]
    second = [_answers(network, each, catalogue, settings, family, again, 3.0, **how) for each in BACKENDS if odd]
    differing = [
        f"{request}: {[sorted(each[request]) for each in second]}"
        for request in again
        if _meaning(request, second[0]) != _meaning(request, second[1])
    ]
    assert not differing, "\n".join(differing)
    restless = [f"{each} {found}" for each, found in first[1].items() if each.times == OF_STICKY and len(found) > 1]
    assert not restless, "\n".join(restless)


def _meaning(request: Request, answers: Answers) -> object:
    """A sticky client may be sent anywhere at first, but each time there."""
    found = answers[request]
    if request.times != OF_STICKY:
        return found
    return {answer if answer in (crossing.DROPPED, crossing.REFUSED) else "an answer" for answer in found}


def _settings(source: random.Random, family: str) -> Settings:
    pods = CIDR.get(family, "fd00:1::/64")
    named = [[], [], [f"{NODE[family][0]}/{'24' if family == IPV4 else '64'}"]]
    named += [[f"{NODE[family][1]}/24", "127.0.0.0/8"]] if family == IPV4 else []
    return support.node(
        node_addresses=["127.0.0.1", "::1", *NODE[IPV4], *NODE["IPv6"]],
        node_ips=[NODE[IPV4][0], NODE["IPv6"][0]],
        ip_families=[family],
        cluster_cidrs=source.choice([[pods], [pods], []]),
        masquerade_all=source.random() < 0.2,
        localhost_nodeports=source.random() < 0.7,
        nodeport_addresses=source.choice(named),
    )


def _service(source: random.Random, family: str, number: int) -> list[dict[str, Any]]:
    """A Service of a random kind, with some endpoints here and some elsewhere."""
    four = family == IPV4
    name, protocol = f"s{number}", source.choice(["TCP", "TCP", "UDP"])
    spec: dict[str, Any] = {"type": source.choice(["ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"])}
    port = {"port": 80, "targetPort": PORT, "protocol": protocol}
    if spec["type"] != "ClusterIP":
        port["nodePort"] = 30000 + number
    if spec["type"] == "LoadBalancer":
        spec["ingress"] = [f"203.0.113.{number}" if four else f"2001:db8::{number:x}"]
        if source.random() < 0.5:
            networks = ["192.0.2.2/32", "198.51.100.0/25", "10.1.0.0/30", "192.0.2.0/24", "10.1.0.12/32"]
            networks = networks if four else ["fd00:c::/64", "fd00:d::/112", "fd00:1::12/128", "fd00:c::2/128"]
            spec["loadBalancerSourceRanges"] = source.sample(networks, 2)
    if source.random() < 0.3:
        spec["externalIPs"] = [f"203.0.113.{100 + number}" if four else f"2001:db8::1:{number:x}"]
    if source.random() < 0.5 and (spec["type"] != "ClusterIP" or "externalIPs" in spec):
        spec["externalTrafficPolicy"] = "Local"
    if source.random() < 0.25:
        spec["internalTrafficPolicy"] = "Local"
    if source.random() < 0.3:
        spec["sessionAffinity"] = "ClientIP"
    there = source.sample([*PODS[family], NODE[family][0]], source.choice([0, 1, 2, 3, 3, 4]))
    endpoints = [_endpoint(source, address) for address in there]
    behind = [{"name": "", "port": PORT, "protocol": protocol}]
    address = f"10.96.0.{number}" if four else f"fd00:96::{number:x}"
    return [
        support.service(name, ip=address, ports=[port], **spec),
        support.endpoint_slice(*endpoints, of=name, ports=behind, family=family),
    ]


def _endpoint(source: random.Random, address: str) -> dict[str, Any]:
    """Most are ready; some end, and may serve meanwhile."""
    state = {} if source.random() < 0.8 else {"ready": False, "serving": source.random() < 0.7, "terminating": True}
    return support.endpoint(address, node=source.choice(["node1", "node2", "node2"]), **state)


def _pod(source: random.Random, family: str) -> dict[str, Any]:
    port = {"containerPort": PORT, "hostPort": HOST_PORT, "hostIP": source.choice(["", NODE[family][1]])}
    address = PODS[family][1]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "shop", "uid": "1"},
        "spec": {"nodeName": "node1", "containers": [{"ports": [port]}]},
        "status": {"podIP": address, "podIPs": [{"ip": address}]},
    }


def _requests(catalogue: Catalogue, family: str) -> list[Request]:
    askers = [*(("client", address) for address in CLIENTS[family]), ("pod1", ""), ("pod2", ""), ("node", "")]
    found = []
    for service in catalogue.services:
        (port,) = service.ports
        times = OF_STICKY if service.affinity_seconds else TIMES
        addresses = [*service.cluster_ips, *service.external_ips, *(entry.address for entry in service.ingress)]
        ways = [(address, 80) for address in addresses]
        ways += [(address, port.node_port) for address in NODE[family] if port.node_port]
        protocol = port.protocol.lower()
        found += [Request(*asker, protocol, *way, times) for asker in askers for way in ways]
        if port.node_port:
            loopback = "127.0.0.1" if family == IPV4 else "::1"
            found.append(Request("node", "", protocol, loopback, port.node_port, times))
    nobody = catalogue.services[0].cluster_ips[0]
    others = [*((address, HOST_PORT) for address in NODE[family]), (nobody, 81)]
    return found + [Request(*asker, "tcp", *way, 3) for asker in askers for way in others]


def _answers(
    network: Crossing,
    backend: str,
    catalogue: Catalogue,
    settings: Settings,
    family: str,
    requests: list[Request],
    patience: float = 1.0,
    *,
    by_netlink: bool,
) -> Answers:
    """What becomes of requests with the rules of a backend. The sticky ones come one after another.

    ``by_netlink``: flat nftables as an apply brings them, else as ``nft -f`` loads the file.
    """
    node, (tool, ip) = network.node, _TOOLS[family]
    if backend == "iptables":
        node.run(f"{tool}-restore", text=support.rendered(catalogue, settings)[FILES[family]])
    else:
        files = BACKEND.render(render.views(catalogue, settings), settings, Memo())
        if by_netlink:
            node.call(lambda: bring(files))
        else:
            node.run("nft", "-f", "-", text=files[FILE])
    node.run("conntrack", "-F", check=False)
    try:
        found = dict(network.ask([request for request in requests if request.times != OF_STICKY], patience))
        found.update(network.ask([request for request in requests if request.times == OF_STICKY], patience, at_once=1))
    finally:
        if backend == "iptables":
            for table in ("nat", "filter"):
                node.shell(f"{tool} -t {table} -F; {tool} -t {table} -X")
        else:
            node.run("nft", "delete", "table", ip, "sluice")
    return found
