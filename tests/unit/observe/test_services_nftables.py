"""Services in kube-proxy's own nftables tables: a table after its source (1.36), as the kernel lists it."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path

import pytest
import support

from sluice.observe.service_ports import Endpoint, ServicePort
from sluice.observe.services import services
from sluice.observe.snapshot import snapshot

pytestmark = pytest.mark.usefixtures("needs_root")
BOTH = (Endpoint("10.1.0.1:8080", Fraction(1, 2)), Endpoint("10.1.0.2:8080", Fraction(1, 2)))


@functools.cache
def _found() -> dict[str, ServicePort]:
    text = (Path(__file__).parent / "kube-proxy.nft").read_text()
    listed = support.in_a_namespace("nft -f - && nft -j list ruleset", text)
    return {each.name: each for each in services(snapshot([("nft", listed)]))}


def test_no_other_services_are_found() -> None:
    assert sorted(_found()) == ["shop/empty", "shop/sticky:http", "shop/web"]


def test_local_policy_with_all_kinds_of_addresses() -> None:
    web = _found()["shop/web"]
    assert (web.cluster_ip, web.port, web.node_port) == ("10.96.0.50", 80, 30080)
    assert (web.external_ips, web.load_balancer_ips) == (("203.0.113.7",), ("198.51.100.9",))
    assert (web.internal_policy, web.external_policy) == ("Cluster", "Local")
    assert (web.endpoints, web.local_endpoints) == (BOTH, (Endpoint("10.1.0.1:8080", Fraction(1)),))
    assert sorted(web.source_ranges) == ["192.0.2.1", "203.0.113.0/24"]
    assert web.node_addresses == ("10.0.0.10",)


def test_affinity_has_chains_of_endpoints() -> None:
    sticky = _found()["shop/sticky:http"]
    assert (sticky.affinity_seconds, sticky.endpoints) == (600, BOTH)


def test_what_nobody_answers_is_told() -> None:
    empty = _found()["shop/empty"]
    assert (empty.cluster_ip, empty.node_port) == ("10.96.0.52", 30082)
    assert (empty.inside, empty.outside) == ("has no endpoints", "has no endpoints")
