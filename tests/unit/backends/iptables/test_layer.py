"""The layer of iptables' rules: its files, their front ends, and whose they are."""

from __future__ import annotations

from support import catalogue, endpoint_slice, node, rendered, service

from sluice.addresses import FAMILIES, IPV4, IPV6
from sluice.backends.interface import Frontend, Memory
from sluice.backends.iptables.layer import LAYER

DNS = [
    service("dns", ip="10.96.0.10", ports=[{"port": 53, "protocol": "UDP"}]),
    endpoint_slice("10.244.1.1", of="dns", ports=[{"name": "", "port": 53, "protocol": "UDP"}]),
]
FILES = rendered(catalogue(*DNS), node(ip_families=[IPV4, IPV6]))


def test_a_file_for_each_family() -> None:
    assert list(LAYER.files([IPV6])) == ["ip6tables.rules"]
    assert set(LAYER.files(FAMILIES)) == set(FILES) - {"settings.json"}


def test_front_ends_of_a_family() -> None:
    assert LAYER.frontends(FILES, IPV4) == {Frontend("10.96.0.10", 53): {("10.244.1.1", 53)}}
    assert LAYER.frontends(FILES, IPV6) == {}
    assert LAYER.frontends({}, IPV4) == {}


def test_rules_of_a_kube_proxy_are_not_ours() -> None:
    assert LAYER.ours({})
    assert LAYER.ours(FILES)
    assert not LAYER.ours({**FILES, "ip6tables.rules": "*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n"})


def test_nothing_waits() -> None:
    memory = Memory({"nft": 7}, {})
    assert LAYER.settle(memory, 0.0) == memory
    assert (LAYER.remembers, LAYER.waiting) == ({}, "")
