"""What all backends ask: whether 127.0.0.0/8 is opened, the sysctls that go with it, who may enter."""

from __future__ import annotations

from typing import Any

import pytest
from support import catalogue, node, rules, service

from sluice import view
from sluice.addresses import IPV4, IPV6
from sluice.backends import shared


@pytest.mark.parametrize(
    ("variables", "open_"),
    [
        ({"compat": "1.20", "localhost_nodeports": False}, True),
        ({}, True),
        ({"localhost_nodeports": False}, False),
        ({"nodeport_addresses": ["10.0.0.0/8"]}, False),
        ({"nodeport_addresses": ["10.0.0.0/8", "127.0.0.0/8"]}, True),
    ],
)
def test_node_ports_on_localhost(variables: dict[str, Any], open_: bool) -> None:
    """What opens 127.0.0.0/8 to neighbours closes it as well (CVE-2020-8558)."""
    own = node(**variables)
    assert shared.serves_localhost(own) == open_
    blocked = [rule for rule in rules(**variables)["filter"]["KUBE-FIREWALL"] if "block incoming localnet" in rule]
    assert bool(blocked) == open_


def test_forwarding_is_switched_on_by_family() -> None:
    opened = {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.route_localnet": "1"}
    assert shared.sysctls(node(send_redirects=True, accept_redirects=True), localnet=True) == opened
    assert shared.sysctls(node(ip_families=[IPV6]), localnet=True) == {"net.ipv6.conf.all.forwarding": "1"}


def test_redirects_are_switched_off_on_every_interface() -> None:
    sent = {f"net.ipv4.conf.{which}.send_redirects": "0" for which in ("*", "all", "default")}
    accepted = {"net.ipv4.conf.all.accept_redirects": "0"}
    forwarding = {"net.ipv4.ip_forward": "1"}
    assert shared.sysctls(node(), localnet=False) == forwarding | sent | accepted
    assert shared.sysctls(node(send_redirects=True), localnet=False) == forwarding | accepted


@pytest.mark.parametrize(("ips", "may"), [(["198.51.100.7"], True), (["203.0.113.1"], False), ([], True)])
def test_a_node_in_a_source_range_may_enter(ips: list[str], may: bool) -> None:
    own = node(node_ips=ips)
    found = catalogue(service(type="LoadBalancer", loadBalancerSourceRanges=["198.51.100.0/24", "10.0.0.0/8"]))
    (port,) = view.view(found, own, IPV4).ports
    assert shared.node_may_enter(port, own, IPV4) is may
