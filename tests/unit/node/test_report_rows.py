"""A node's service ports in a report: what rules hold by the catalogue's names, what is left out, what was counted."""

from __future__ import annotations

from typing import Any

import pytest
import support

from sluice import render, view
from sluice.addresses import IPV4
from sluice.backends.interface import Count, Entry
from sluice.catalogue.model import Catalogue
from sluice.node import report_rows
from sluice.node.report_rows import Held
from sluice.node.traffic import Counted, ServicePort, Traffic
from sluice.observe import services
from sluice.observe.snapshot import snapshot
from sluice.outages import NO_OUTAGES, Outages

WEB = support.catalogue(
    support.service("web"),
    support.endpoint_slice("10.0.0.1", "10.0.0.2", support.endpoint("10.0.0.3", ready=False), of="web"),
    support.service("zero", ip="10.96.0.2"),
)
PROBED = {"health": True, "health_check": {"tcpSocket": {}}}
HTTP = ServicePort("shop", "web", "", "TCP")


def rows(
    catalogue: Catalogue = WEB,
    *,
    known: Catalogue | None = None,
    outages: Outages = NO_OUTAGES,
    traffic: Traffic | None = None,
    flows: Any = None,
    **variables: Any,
) -> list[dict[str, Any]]:
    """Those of a node whose rules are of ``catalogue``, and whose files have ``known``."""
    settings = support.node(**variables)
    views = {family: view.view(catalogue, settings, family, outages) for family in settings.ip_families}
    written = render.render(views, settings)
    held = snapshot([(name, text) for name, text in written.items() if name != "settings.json"])
    ports = services.services(held)
    return report_rows.rows(Held(known or catalogue, held, ports, traffic or {}, outages, flows or {}))


@pytest.mark.parametrize("backend", ["iptables", "ipvs", "nftables"])
def test_names_shares_and_what_is_not_ready(backend: str) -> None:
    web, zero = rows(backend=backend)
    assert (web["name"], web["protocol"], web["type"], web["declared"]) == ("shop/web", "TCP", "ClusterIP", True)
    (group,) = web["groups"]
    assert [each[:2] for each in group["cluster"]] == [["10.0.0.1:8080", "1/2"], ["10.0.0.2:8080", "1/2"]]
    assert group["ways"][0][:3] == ["10.96.0.1", 80, "cluster IP"]
    assert web["absent"] == [("10.0.0.3:8080", "not ready")]
    assert zero["name"] == "shop/zero"
    assert [group["cluster"] for group in zero["groups"]] == [[]]


def test_why_an_endpoint_is_out() -> None:
    web = rows(outages=Outages(frozenset(["10.0.0.1"])))[0]
    assert web["absent"] == [("10.0.0.1:8080", "drained"), ("10.0.0.3:8080", "not ready")]
    (probe,) = {port.probe for port in view.view(WEB, support.node(**PROBED), IPV4).ports}
    assert probe
    down = Outages(down=frozenset([("10.0.0.2", 8080, probe.question)]))
    assert ("10.0.0.2:8080", "down") in rows(outages=down, **PROBED)[0]["absent"]
    assert ("10.0.0.2:8080", "down") not in rows(outages=down)[0]["absent"], "nothing asks it: it serves"


def test_what_the_catalogue_and_the_kernel_do_not_share() -> None:
    other = support.catalogue(support.service("other", ip="10.96.0.9"))
    found = {row["name"]: row for row in rows(known=other)}
    assert found["shop/other"]["groups"] == []
    assert (found["shop/web"]["declared"], found["shop/web"]["counted"]) == (False, None)
    nameless = [row["name"] for row in rows(known=other, backend="ipvs")]
    assert nameless == ["shop/other", "10.96.0.1:80", "10.96.0.2:80"], "IPVS has addresses only"


def test_counters() -> None:
    counted = {HTTP: Counted(Count(5, 5, 300), {"10.0.0.1:8080": Count(5, 5, 300)}, False)}
    web, zero = rows(traffic=counted)
    assert web["counted"] == {
        "total": [5, 5, 300, 0, 0],
        "whole": False,
        "by": "",
        "ends": {"10.0.0.1:8080": [5, 5, 300, 0, 0]},
    }
    assert zero["counted"] is None


def test_where_endpoints_are_not_counted_conntrack_says_what_is_open() -> None:
    counted = {HTTP: Counted(Count(5, 5, 300), {}, False)}
    flows = {
        (Entry("10.96.0.1", "tcp", 80), "10.0.0.1:8080"): 3,
        (Entry("10.96.0.1", "tcp", 80), "10.0.0.2:8080"): 4,
        (Entry("192.0.2.1", "tcp", 22), "192.0.2.1:22"): 1,
    }
    web = rows(traffic=counted, flows=flows, backend="nftables")[0]
    assert web["counted"]["by"] == report_rows.BY_CONNTRACK
    assert {text: count[0] for text, count in web["counted"]["ends"].items()} == {
        "10.0.0.1:8080": 3,
        "10.0.0.2:8080": 4,
    }
