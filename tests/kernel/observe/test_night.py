"""A client gets no answer, at night: whatever the fault, two commands name it. docs/troubleshooting.md has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import cases
import load
import pytest
import support

from sluice.backends.iptables.kernel import VARIANTS
from sluice.catalogue import compiled
from sluice.node import files

CLIENT, POD = cases.CLIENT_ADDRESS, cases.PODS[0]
WEB = cases.Service(1, (POD,))
NONE = WEB._replace(endpoints=())
HERE = WEB._replace(endpoints=(cases.NODE_ADDRESS,))
LOCAL = WEB._replace(node_port=30001, more=(("externalTrafficPolicy", "Local"),))
BALANCED = "10.96.200.1"
RANGES = (("type", "LoadBalancer"), ("ingress", [BALANCED]), ("loadBalancerSourceRanges", ["192.0.2.0/24"]))
FENCED = WEB._replace(more=RANGES)
SERVICE, NODE_PORT = (WEB.address, 80), (cases.NODE_ADDRESS, 30001)
SOON = 0.5
"""Seconds after which a client of these tests has got no answer."""

Plant = Callable[[load.Network, str], object]


class Fault(NamedTuple):
    """``plant`` spoils it; ``gets``: what the client gets. ``said``: by command, what it has to print."""

    plant: Plant
    gets: str
    said: Mapping[str, str]
    service: cases.Service = WEB
    asked: tuple[str, int] = SERVICE
    is_served: bool = True


def rules(command: str) -> Plant:
    """A rule of somebody else's, by that iptables which Sluice uses as well, where it uses one."""

    def plant(network: load.Network, plane: str) -> None:
        variant = plane if plane in VARIANTS else VARIANTS[0]
        network.node.run(f"iptables-{variant}", *command.split())

    return plant


def shell(script: str) -> Plant:
    return lambda network, _plane: network.node.shell(script)


def nothing(_network: load.Network, _plane: str) -> None:
    """The Service itself is the fault."""


def drift(network: load.Network, plane: str) -> None:
    if plane in VARIANTS:
        rules("-t nat -F KUBE-SERVICES")(network, plane)
    else:
        network.node.shell("nft flush chain ip sluice services")


FORWARDED = r"""
nft add table ip foreign
nft add chain ip foreign first '{ type nat hook prerouting priority -150; }'
nft add rule ip foreign first ip daddr ADDRESS dnat to NOBODY
"""
FAULTS = {
    "endpoint refuses": Fault(
        nothing, "ECONNREFUSED", {"trace --ask": rf"note: asked from this node, {POD}:8001: refuses$"}, is_served=False
    ),
    "endpoint is dead": Fault(
        lambda network, _plane: network.pods.ip("link set eth0 down"),
        "timeout",
        {"trace --ask": rf"note: asked from this node, {POD}:8001: (does not answer|no route to host)$"},
    ),
    "no endpoints": Fault(nothing, "ECONNREFUSED", {"trace": r"^└─ refused", "explain": "has no endpoints"}, NONE),
    "policy Local": Fault(nothing, "timeout", {"trace": r"^└─ dropped", "explain": r"Cluster/Local"}, LOCAL, NODE_PORT),
    "source ranges": Fault(
        nothing, "timeout", {"trace": r"^└─ dropped", "explain": r"from 192\.0\.2\.0/24"}, FENCED, (BALANCED, 80)
    ),
    "a DROP in FORWARD": Fault(
        rules(f"-I FORWARD -s {CLIENT} -j DROP"),
        "timeout",
        {"trace": rf"filter FORWARD\n    .*{CLIENT}.*(DROP|drop)\n.*\n└─ dropped"},
    ),
    "a DROP in INPUT": Fault(
        rules(f"-I INPUT -s {CLIENT} -j DROP"),
        "timeout",
        {"trace": rf"filter INPUT\n    .*{CLIENT}.*(DROP|drop)\n.*\n└─ dropped"},
        HERE,
    ),
    "policy DROP": Fault(
        rules("-P FORWARD DROP"),
        "timeout",
        {"trace": r"^    policy drop\n        no rule of the chain has decided\n└─ dropped"},
    ),
    "a foreign nat chain": Fault(
        shell(FORWARDED.replace("ADDRESS", WEB.address).replace("NOBODY", load.NOBODY)),
        "timeout",
        {"trace": rf"^ip foreign first\n.*dnat to {load.NOBODY}\n(.*\n)*└─ {load.NOBODY}:80"},
    ),
    "drift": Fault(
        drift,
        "timeout",
        {"trace": "^└─ goes on as it is", "status": r"^drift +\d+ lines? of difference \(sluice diff\)"},
    ),
    "no forwarding": Fault(
        shell("sysctl -qw net.ipv4.ip_forward=0"),
        "timeout",
        {"trace": r"^note: the node does not forward \(net\.ipv4\.ip_forward = 0\): .*sysctl -w"},
    ),
    "reverse path": Fault(
        shell(f"sysctl -qw net.ipv4.conf.client.rp_filter=1; ip route add {CLIENT}/32 dev pods"),
        "timeout",
        {
            "trace": "^answer: ",
            "explain": r"^- strict reverse path filter \(net\.ipv4\.conf: rp_filter = 1 at client\)",
        },
    ),
    "wrong port": Fault(
        nothing,
        "timeout",
        {"trace": rf"^note: Services are at other ports of {re.escape(WEB.address)}: 80/tcp \(shop/s1\)"},
        asked=(WEB.address, 81),
    ),
    "drained": Fault(
        lambda network, _plane: network.node.sluice("drain", POD),
        "ECONNREFUSED",
        {"trace": r"^└─ refused", "status": rf"^drained +{POD}"},
    ),
    "no way back": Fault(
        lambda network, _plane: network.pods.ip("route del default"),
        "timeout",
        {"trace": rf"^answer: the endpoint answers {CLIENT}: its route there has to lead through this node"},
    ),
}


def contents(plane: str, service: cases.Service) -> Mapping[str, str]:
    found = support.catalogue(*service.objects(both=False))
    settings = support.node(**cases.settings_of(plane), ip_families=["IPv4"])
    return files.sealed({**support.rendered(found, settings), files.CATALOGUE_FILE: compiled.text(found)})


@pytest.mark.parametrize("name", FAULTS)
def test_two_commands_name_it(name: str, plane: str, network: load.Network) -> None:
    fault = FAULTS[name]
    if fault.is_served:
        network.serve([WEB])
    network.node.apply(contents(plane, fault.service))
    fault.plant(network, plane)
    address, port = fault.asked
    assert network.ask(address, port, timeout=SOON) == fault.gets
    asked = ("--to", f"{address}:{port}", "--from", CLIENT)
    assert len(fault.said) <= 2
    for command, pattern in fault.said.items():
        words = command.split()
        told = network.node.sluice(*words, *(asked if words[0] == "trace" else ()), check=False)
        assert re.search(pattern, told.stdout, re.MULTILINE), told.stdout + told.stderr
