"""Numbers of a node, in the form that Prometheus reads."""

from __future__ import annotations

import support
from prometheus_client.parser import text_string_to_metric_families as parsed

from sluice import __version__
from sluice.backends.interface import Count
from sluice.catalogue.counts import Counts
from sluice.node import metrics
from sluice.node.metrics import MOST_SERIES
from sluice.node.state import InForce
from sluice.node.status import Drift, Status
from sluice.node.traffic import Counted, ServicePort, Traffic

WELL = Status(
    "lb1",
    "iptables",
    InForce(7, "2026-11-28T10:12:00Z"),
    None,
    Counts(12, 0, 36, 35),
    {"10.0.0.1": "a/b"},
    (5, 100),
    Drift(3),
    None,
    None,
)
WEB, DNS = ServicePort("shop", "web", "http", "TCP"), ServicePort("shop", 'd"s', "", "UDP")
NO_TRAFFIC: Traffic = {}


def values(text: str) -> dict[str, float]:
    """Each sample by its name without ``sluice_`` and the values of its labels."""
    families = list(parsed(text))
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    samples = [each for family in families for each in family.samples]
    told = {" ".join([each.name[len("sluice_") :], *each.labels.values()]): each.value for each in samples}
    assert len(told) == len(samples)
    return told


def test_all_that_is_known() -> None:
    assert values(metrics.text(WELL, {}, None, NO_TRAFFIC)) == {
        f"node_info iptables {__version__}": 1,
        "generation": 7,
        "generation_timestamp_seconds": 1795860720,
        "services": 12,
        "endpoints true": 35,
        "endpoints false": 1,
        "endpoints_without_route": 1,
        "drift_lines": 3,
        "drift_known": 1,
        "last_apply_success": 1,
        "change_pending": 0,
        "change_taken_back": 0,
        "connections": 5,
        "connections_max": 100,
    }


def test_what_is_not_known_is_left_out() -> None:
    found = values(
        metrics.text(
            WELL._replace(held=None, drift=Drift(None, "no root"), connections=(0, 0), in_force=InForce(0)),
            {},
            None,
            NO_TRAFFIC,
        )
    )
    assert set(found) == {
        *(f"node_info iptables {__version__}", "generation", "endpoints_without_route", "drift_known"),
        *("last_apply_success", "change_pending", "change_taken_back"),
    }
    assert found["drift_known"] == 0


def test_how_the_last_apply_ended() -> None:
    failed = {"time": "2026-11-28T10:13:00Z", "message": "busy"}
    found = values(metrics.text(WELL._replace(error=failed, rolled_back=failed), {}, None, NO_TRAFFIC))
    assert (found["last_apply_success"], found["last_apply_failed_timestamp_seconds"]) == (0, 1795860780)
    assert found["change_taken_back"] == 1
    odd = values(metrics.text(WELL._replace(error={**failed, "time": "?"}), {}, None, NO_TRAFFIC))
    assert "last_apply_failed_timestamp_seconds" not in odd


def test_rules_by_file() -> None:
    """Of whatever backend: what is a rule, an element of a set, a virtual or a real server."""
    services = support.service(), support.endpoint_slice("10.1.0.1", "10.1.0.2")
    more = (*services, support.service("api", ip="10.96.0.9"), support.endpoint_slice("10.1.0.1", of="api"))
    for backend, named in (
        ("iptables", {"rules iptables.rules"}),
        ("ipvs", {"rules iptables.rules", "rules ipset.conf", "rules ipvs.conf"}),
        ("nftables", {"rules nftables.nft"}),
    ):
        rendered = (
            support.rendered(support.catalogue(*each), support.node(backend=backend)) for each in (services, more)
        )
        few, many = (values(metrics.text(WELL, each, None, NO_TRAFFIC)) for each in rendered)
        assert {name for name in few if name.startswith("rules ")} == named
        assert sum(many[name] for name in named) > sum(few[name] for name in named)


def test_each_rule_is_one() -> None:
    text = "*nat\n:KUBE-SVC-A - [0:0]\n-A KUBE-SERVICES -j KUBE-SVC-A\n-A KUBE-SVC-A -j X\nCOMMIT\n"
    ipset = "create A hash:ip\nadd A 10.0.0.1\n"
    ipvs = "-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.1.0.1:80 -m -w 1\n"
    nft = "add element ip sluice addresses {\n\t10.96.0.1 . tcp . 80 : 0:1,\n}\n"
    found = values(metrics.text(WELL, {"a": text, "b": ipset, "c": ipvs, "d": nft}, None, NO_TRAFFIC))
    assert [found[f"rules {name}"] for name in "abcd"] == [2, 1, 2, 1]


def test_services_without_endpoints() -> None:
    catalogue = support.catalogue(
        support.service("none", ip="10.96.0.2"),
        support.service("waits", ip="10.96.0.3"),
        support.endpoint_slice(support.endpoint("10.1.0.1", ready=False), of="waits"),
        support.service("fine", ip="10.96.0.4"),
        support.endpoint_slice("10.1.0.1", support.endpoint("10.1.0.2", ready=False), of="fine"),
    )
    found = values(metrics.text(WELL, {}, catalogue, NO_TRAFFIC))
    assert found["services_without_ready_endpoints"] == 2
    named = [name for name in found if name.startswith("service_without_ready_endpoints")]
    assert named == ["service_without_ready_endpoints shop none", "service_without_ready_endpoints shop waits"]


def test_traffic_by_service_port() -> None:
    traffic = {
        WEB: Counted(Count(3, 30, 3000, 20, 2000), {}, whole=True),
        DNS: Counted(Count(5, 5, 300), {}, whole=False),
    }
    found = values(metrics.text(WELL, {}, None, traffic))
    told = {name: value for name, value in found.items() if name.startswith("service_")}
    assert told == {
        "service_connections_total shop web http TCP": 3,
        "service_packets_total shop web http TCP in all": 30,
        "service_packets_total shop web http TCP out all": 20,
        "service_bytes_total shop web http TCP in all": 3000,
        "service_bytes_total shop web http TCP out all": 2000,
        'service_connections_total shop d"s  UDP': 5,
        'service_packets_total shop d"s  UDP in first': 5,
        'service_bytes_total shop d"s  UDP in first': 300,
        "service_ports_left_out": 0,
    }


def test_there_is_a_bound_to_series() -> None:
    """The busiest have series, and how many have none is told."""
    traffic = {
        ServicePort("shop", f"s{number:04}", "", "TCP"): Counted(Count(number, number, 60 * number), {}, whole=False)
        for number in range(MOST_SERIES + 7)
    }
    found = values(metrics.text(WELL, {}, None, traffic))
    told = [name for name in found if name.startswith("service_connections_total")]
    assert (len(told), found["service_ports_left_out"]) == (MOST_SERIES, 7)
    assert not any(f"s{number:04}" in name for name in told for number in range(7))
    services = [support.service(f"s{n}", ip=f"10.96.{n // 250}.{n % 250 + 1}") for n in range(MOST_SERIES + 1)]
    found = values(metrics.text(WELL, {}, support.catalogue(*services), NO_TRAFFIC))
    assert found["services_without_ready_endpoints"] == MOST_SERIES + 1
    assert len([name for name in found if name.startswith("service_without")]) == MOST_SERIES
