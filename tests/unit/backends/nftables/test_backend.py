"""The file of a node: nft loads it as it is, lists it so that it loads again, and it is the same every time."""

from __future__ import annotations

from typing import Any

import pytest
from support import catalogue, endpoint, endpoint_slice, in_a_namespace, node, service

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import Memo
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE

BOTH = [IPV4, IPV6]


def objects(**spec: Any) -> list[dict[str, Any]]:
    ports = [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 53, "protocol": "UDP"}]
    behind = [{"name": "a", "port": 8080, "protocol": "TCP"}, {"name": "b", "port": 5353, "protocol": "UDP"}]
    vips = {"type": "LoadBalancer", "ingress": ["203.0.113.1", "2001:db8::1"]}
    return [
        service(ip=["10.96.0.1", "fd00:96::1"], ports=ports, **vips, **spec),
        endpoint_slice(endpoint("10.1.0.11", node="node1"), "10.1.0.12", ports=behind),
        endpoint_slice("fd00:1::11", ports=behind, family=IPV6),
    ]


def rendered(*found: dict[str, Any], **variables: Any) -> str:
    own = node(**variables)
    return BACKEND.render(render.views(catalogue(*found), own), own, Memo())[FILE]


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"sessionAffinity": "ClientIP"},
        {"loadBalancerSourceRanges": ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]},
        {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local", "sessionAffinity": "ClientIP"},
    ],
)
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"cluster_cidrs": ["10.1.0.0/16", "fd00:1::/64"], "nodeport_addresses": ["10.0.0.0/8", "fd00:10::/64"]},
        {"masquerade_all": True, "conntrack_tcp_be_liberal": True, "localhost_nodeports": False, "masquerade_bit": 3},
    ],
)
def test_nft_takes_it(spec: dict[str, Any], variables: dict[str, Any]) -> None:
    """Twice, as over a table that is there; and what it lists, as in somebody's saved firewall."""
    text = rendered(*objects(**spec), ip_families=BOTH, **variables)
    script = "cat > /run/f; nft -f /run/f; nft -f /run/f; nft list ruleset > /run/g; nft flush ruleset; nft -f /run/g"
    listed = in_a_namespace(f"{script}; nft list ruleset", text)
    assert listed.count("table ip") == 2
    assert 'comment "shop/web:a"' in listed


@pytest.mark.usefixtures("needs_root")
def test_a_pod_s_host_ports_on_loopback() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "shop", "uid": "1"},
        "spec": {
            "nodeName": "node1",
            "containers": [{"ports": [{"containerPort": 9100, "hostPort": 9200, "hostIP": "127.0.0.1"}]}],
        },
        "status": {"podIP": "10.1.0.11", "podIPs": [{"ip": "10.1.0.11"}]},
    }
    text = rendered(pod, localhost_nodeports=False)
    assert "127.0.0.1 . tcp . 9200 : 10.1.0.11 . 9100," in text
    assert "block" not in in_a_namespace("nft -f -", text)


def test_the_order_of_the_catalogue_does_not_count() -> None:
    several = [service(f"s{number}", ip=f"10.96.0.{number}") for number in range(1, 9)]
    several += [endpoint_slice("10.1.0.11", of=f"s{number}") for number in range(1, 9)]
    assert rendered(*several) == rendered(*several[::-1])


def test_what_it_needs() -> None:
    own = node()
    needs = BACKEND.needs(render.views(catalogue(*objects()), own), own, (6, 1))
    assert needs.sysctls["net.ipv4.conf.all.route_localnet"] == "1"
    assert "nf_tables" in needs.modules
    assert not BACKEND.names_own(render.views(catalogue(*objects()), own), own)
