"""The stages on the way to endpoints, in what each backend and dialect writes for the same Services."""

from __future__ import annotations

from typing import Any

import pytest
import support

from sluice.observe import services
from sluice.observe.routes import Route, Routes, Way
from sluice.observe.snapshot import snapshot

PORTS = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
WEB = support.service(
    type="LoadBalancer",
    ports=PORTS,
    externalIPs=["192.0.2.1"],
    ingress=["192.0.2.9"],
    externalTrafficPolicy="Local",
    loadBalancerSourceRanges=["10.0.0.0/8"],
)
ENDS = support.endpoint_slice("10.0.0.1", support.endpoint("10.0.0.2", "node1"))
HASH = "E3PXEPMWAWIUT6ZV"
"""kube-proxy's of ``shop/web`` and tcp."""


def routes(*objects: dict[str, Any], **variables: Any) -> dict[str, Route]:
    """The route of each service port, by its name (IPVS: its address)."""
    written = support.rendered(support.catalogue(*objects), support.node(**variables))
    held = snapshot([(name, text) for name, text in written.items() if name != "settings.json"])
    found = Routes(held)
    return {port.name or port.cluster_ip: found.of(port) for port in services.services(held)}


def stages(route: Route) -> dict[str, str]:
    """Where each address leads first."""
    return {f"{way.address}:{way.port}": way.stage.replace(HASH, "#") for way in route.ways}


def test_chains_of_today() -> None:
    route = routes(WEB, ENDS)["shop/web"]
    assert stages(route) == {
        "10.96.0.1:80": "KUBE-SVC-#",
        "192.0.2.1:80": "KUBE-EXT-#",
        "192.0.2.9:80": "KUBE-FW-#",
        ":30080": "KUBE-EXT-#",
    }
    assert {(begin.replace(HASH, "#"), end.replace(HASH, "#")) for begin, end in route.steps} == {
        ("KUBE-FW-#", "KUBE-EXT-#"),
        ("KUBE-EXT-#", "KUBE-SVC-#"),
        ("KUBE-EXT-#", "KUBE-SVL-#"),
    }
    assert route.chooses == {f"KUBE-SVC-{HASH}": False, f"KUBE-SVL-{HASH}": True}
    assert route.chains["10.0.0.1:8080"].startswith("KUBE-SEP-")
    assert len(route.chains) == 2


def test_chains_of_old() -> None:
    route = routes(WEB, ENDS, compat="1.20")["shop/web"]
    assert stages(route)["192.0.2.9:80"] == "KUBE-FW-#"
    assert (f"KUBE-FW-{HASH}", f"KUBE-XLB-{HASH}") in route.steps
    assert route.chooses == {f"KUBE-SVC-{HASH}": False, f"KUBE-XLB-{HASH}": True}


def test_behind_prefix_chains() -> None:
    many = [support.service(f"w{each}", ip=f"10.96.{each}.1") for each in range(1, 40)]
    route = routes(WEB, ENDS, *many, iptables_dispatch="prefix")["shop/web"]
    assert stages(route)["10.96.0.1:80"] == "KUBE-SVC-#"


def test_virtual_servers() -> None:
    route = routes(WEB, ENDS, backend="ipvs", ipvs_scheduler="wrr")["10.96.0.1"]
    assert Way("10.96.0.1", 80, "cluster IP", "virtual server") in route.ways
    assert Way("", 30080, "node port", "virtual server, local") in route.ways, "whichever addresses the node has"
    assert route.chooses == {"virtual server": False, "virtual server, local": True}
    assert (route.steps, route.chains, route.scheduler) == ((), {}, "wrr")


def test_maps() -> None:
    route = routes(WEB, ENDS, backend="nftables")["shop/web"]
    assert stages(route) == {
        "10.96.0.1:80": "inside",
        "192.0.2.1:80": "fenced-outside-local",
        "192.0.2.9:80": "fenced-outside-local",
        ":30080": "outside-local",
    }
    assert set(route.steps) == {
        ("inside", "list"),
        ("fenced-outside-local", "list, local"),
        ("outside-local", "list, local"),
    }
    assert route.chooses == {"list": False, "list, local": True}


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_nobody_serves(backend: str) -> None:
    elsewhere = support.endpoint_slice("10.0.0.1")
    for ends, inside, outside in (((), "REJECT", "REJECT"), ((elsewhere,), None, "DROP")):
        found = stages(routes(WEB, *ends, backend=backend)["shop/web"])
        assert found["10.96.0.1:80"] == (inside or found["10.96.0.1:80"])
        assert found[":30080"] in (outside, "KUBE-EXT-#"), "pods and the node itself still reach another node's"
