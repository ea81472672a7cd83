"""What a service port takes is what recorded rules and our own files have of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import support
from planted import GOLDEN, odd, recorded

from sluice import render
from sluice.backends.interface import Memo
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE
from sluice.observe import laws, rule_counts
from sluice.observe.laws import Size, Style
from sluice.observe.service_ports import Endpoint, ServicePort, evenly
from sluice.observe.services import services
from sluice.observe.services_flat import elements
from sluice.observe.snapshot import snapshot

CASES = sorted({(path.stem, path.parent.name, path.parents[1].name) for path in GOLDEN.glob("[0-9]*/*/*.rules")})
PUBLISHED = Path(__file__).parents[2] / "published"
"""Rules of releases that nobody recorded, written from what is published of them."""

PORT = ServicePort("iptables", "shop/web", "tcp", "10.96.0.1", 80, internal_policy="Cluster")
THREE: tuple[Endpoint, ...] = evenly(["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"])


@pytest.mark.parametrize(("case", "mode", "version"), CASES)
def test_laws_are_those_of_kube_proxy(case: str, mode: str, version: str) -> None:
    held = snapshot(recorded(case, mode, version).items())
    style = rule_counts.style(held)
    for port in services(held):
        reckoned = laws.rules(port, style) if mode == "iptables" else sum(laws.virtual_servers(port, 0))
        assert reckoned == port.entries, port


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.rules")), ids=lambda path: path.stem)
def test_releases_between_those_that_were_recorded(path: Path) -> None:
    """Their layouts changed in 1.22 (a Service's chain masquerades), 1.24 (KUBE-EXT, KUBE-SVL) and 1.26 (the fence)."""
    held = snapshot([(path.name, path.read_text())])
    style = rule_counts.style(held)
    found = {port.name: port for port in services(held)}
    told = {name: (port.kind, port.internal_policy, port.external_policy) for name, port in found.items()}
    assert told == {
        "default/api": ("LoadBalancer", "Cluster", "Local"),
        "default/empty": ("ClusterIP", "", ""),
        "default/lb": ("LoadBalancer", "Cluster", "Cluster"),
        "default/web": ("NodePort", "Cluster", "Cluster"),
    }
    assert [each.text for each in found["default/api"].local_endpoints] == ["10.244.1.11:8080"]
    assert found["default/api"].health_check_node_port == 32000
    assert found["default/lb"].source_ranges == ("203.0.113.0/24",)
    assert {name: laws.rules(port, style) for name, port in found.items()} == {
        name: port.entries for name, port in found.items()
    }
    assert style.is_old == (path.stem == "1.22")
    assert not odd(path.read_text())


@pytest.mark.parametrize("name", ["1.22", "1.24", "1.27", "1.30"])
def test_their_rules_do_not_go_missing_unnoticed(name: str) -> None:
    text = (PUBLISHED / f"{name}.rules").read_text()
    for line in text.splitlines():
        if line.startswith("-A KUBE-S") and ("KUBE-MARK-MASQ" in line or "DNAT" in line):
            assert odd(text.replace(f"{line}\n", "")), line


def test_numbers_that_people_know() -> None:
    """2 + 3n, and what else articles say."""
    assert laws.rules(PORT._replace(endpoints=THREE), Style()) == 2 + 3 * 3
    assert laws.rules(PORT._replace(endpoints=THREE, affinity_seconds=60), Style()) == 2 + 4 * 3
    assert laws.rules(PORT._replace(endpoints=THREE), Style(masquerades=False)) == 1 + 3 * 3
    assert laws.rules(PORT._replace(inside="has no endpoints"), Style()) == 1
    assert laws.virtual_servers(PORT._replace(endpoints=THREE, node_port=30080), 4) == (5, 15)
    assert laws.elements(PORT._replace(endpoints=THREE)) == 2 + 3


def test_rules_that_count_for_kube_proxys_metrics() -> None:
    """Where the kernel has nfacct, a node port has a rule more; a Service has no more for it."""
    rules = recorded("12-nodeport")[".rules"]
    line = next(line for line in rules.splitlines() if line.startswith("-A KUBE-NODEPORTS ") and "-j KUBE-EXT" in line)
    counting = line.replace("KUBE-NODEPORTS ", "KUBE-NODEPORTS -d 127.0.0.0/8 ")
    counting = counting.replace(" -j ", " -m nfacct --nfacct-name localhost_nps_accepted_pkts -j ")
    held = snapshot([("rules", rules.replace(line, f"{counting}\n{line}"))])
    (port,) = services(held)
    assert laws.rules(port, rule_counts.style(held)) == port.entries


@pytest.mark.usefixtures("needs_root")
def test_elements_are_those_that_are_rendered() -> None:
    node_port = {"port": 80, "targetPort": 8080, "nodePort": 30080}
    objects = [
        support.service(
            type="LoadBalancer", ports=[node_port], ingress=["198.51.100.9"], loadBalancerSourceRanges=["192.0.2.0/24"]
        ),
        support.endpoint_slice("10.1.0.1", "10.1.0.2"),
        support.service("sticky", ip="10.96.0.2", sessionAffinity="ClientIP", externalIPs=["203.0.113.7"]),
        support.endpoint_slice("10.1.0.1", "10.1.0.3", of="sticky"),
        support.service("empty", ip="10.96.0.3", externalIPs=["203.0.113.8"]),
    ]
    own = support.node(backend="nftables", ip_families=["IPv4"])
    text = BACKEND.render(render.views(support.catalogue(*objects), own), own, Memo())[FILE]
    held = snapshot([("nft", support.in_a_namespace("nft -f - && nft -j list ruleset", text))])
    ports = services(held)
    assert [laws.elements(port) for port in ports] == [port.entries for port in ports]
    (table,) = held.nftables
    shared = ("ways", "made-of")  # as many however many Services there are
    number = sum(len(list(elements(table, name))) for name in table.listed if name not in shared)
    assert laws.size(ports, Style(), 1).elements == number


def test_sizes_add_up() -> None:
    ports = [PORT._replace(endpoints=THREE), PORT._replace(name="shop/other", endpoints=THREE)]
    assert laws.size(ports, Style(), 1) == Size(22, 2, 6, 2 * 5 + 3)
