"""The numbers of health: what their parser reads is what the supervisor knows, in a bounded number of lines."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parsed

from sluice.health.reasons import Reason, State
from sluice.health.wire import Heartbeat
from sluice.node import health_metrics
from sluice.node.answers import Health
from sluice.node.findings import Findings, Unheeded
from sluice.node.health_metrics import MOST_SERIES, HealthMetrics
from sluice.node.rendering import Use
from sluice.node.verdicts import Verdict
from sluice.outages import Asked

QUESTION = '{"tcpSocket":{}}'
WEB, API, ONE = "shop/web:http", "shop/api", "edge/one:"
DOWN, UP = Verdict(State.DOWN, Reason.REFUSED, 5.0, 1), Verdict(State.UP, Reason.FINE, 5.0, 1)
EMPTY = Findings(7, {}, {}, {State.UP: 3, State.DOWN: 4}, None, Unheeded(), "", 0, Health())


def findings(*rows: tuple[str, str, Verdict, str]) -> Findings:
    """What is known where each row is an endpoint: service port, address, verdict, and what if all are down."""
    checks: dict[Asked, list[Use]] = {}
    known = {}
    for name, address, verdict, then in rows:
        check = (address, 80, QUESTION)
        checks.setdefault(check, []).append(Use(name, "tcp", address, 80, "keep", then))
        known[check] = verdict
    return EMPTY._replace(checks=checks, known=known)


def values(found: Findings, metrics: HealthMetrics | None = None) -> dict[str, float]:
    """Each sample by its name without ``sluice_health_`` and the values of its labels."""
    families = list(parsed((metrics or HealthMetrics()).text(found)))
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    samples = [each for family in families for each in family.samples]
    told = {" ".join([each.name[len("sluice_health_") :], *each.labels.values()]): each.value for each in samples}
    assert len(told) == len(samples)
    return told


def test_all_that_is_told_of_a_node_that_asks_nobody() -> None:
    assert values(EMPTY) == {
        "checks up": 0,
        "checks down": 0,
        "checks unknown": 0,
        "changes_total up": 3,
        "changes_total down": 4,
        "checker_up": 0,
        "service_ports_all_down open": 0,
        "service_ports_all_down closed": 0,
        "service_ports_all_down sorry": 0,
        "service_ports_left_out": 0,
        "drained_addresses": 0,
        "node_drained": 0,
        "node_healthy": 1,
        "failing": 0,
        "generation": 7,
        "records_dropped_total": 0,
        "records_stale_total": 0,
        "connections_refused_total": 0,
    }


def test_what_the_checker_and_the_node_say() -> None:
    found = EMPTY._replace(
        heartbeat=Heartbeat(7, 10**10, 12, 2500),
        unheeded=Unheeded(1, 2, 3),
        error="health: busy",
        drained=2,
        node=Health(healthy=False, eligible=False),
    )
    told = values(found)
    assert (told["checker_up"], told["checks_done_total"], told["checks_under_way"]) == (1, 10**10, 12)
    assert told["checks_late_seconds"] == 0.0025
    names = ("records_dropped_total", "records_stale_total", "connections_refused_total")
    assert [told[name] for name in names] == [1, 2, 3]
    assert [told[name] for name in ("failing", "drained_addresses", "node_drained", "node_healthy")] == [1, 2, 1, 0]


def test_service_ports_that_have_one_down() -> None:
    told = values(
        findings(
            (WEB, "10.1.0.1", DOWN, "open"),
            (WEB, "10.1.0.2", UP, "open"),
            (WEB, "10.1.0.3", Verdict(), "open"),
            (WEB, "fd00::1", DOWN, "open"),
            (API, "10.1.0.1", DOWN, "closed"),
            (ONE, "10.1.0.4", UP, "10.9.9.9:80"),
        )
    )
    assert (told["checks up"], told["checks down"], told["checks unknown"]) == (2, 2, 1)
    assert {name: value for name, value in told.items() if name.startswith("service_")} == {
        "service_endpoints shop web http IPv4": 3,
        "service_endpoints shop web http IPv6": 1,
        "service_endpoints shop api  IPv4": 1,
        "service_endpoints_down shop web http IPv4": 1,
        "service_endpoints_down shop web http IPv6": 1,
        "service_endpoints_down shop api  IPv4": 1,
        "service_ports_all_down open": 1,
        "service_ports_all_down closed": 1,
        "service_ports_all_down sorry": 0,
        "service_ports_left_out": 0,
    }


def test_who_says_sorry_is_no_label() -> None:
    told = values(findings((ONE, "10.1.0.4", DOWN, "10.9.9.9:80")))
    assert told["service_ports_all_down sorry"] == 1


def test_series_are_bounded_and_those_that_serve_nobody_come_first() -> None:
    rows = [(f"shop/s{number:04}", f"10.2.{number // 250}.{number % 250}", DOWN, "open") for number in range(300)]
    partly = [("shop/a", "10.3.0.1", DOWN, "open"), ("shop/a", "10.3.0.2", UP, "open")]
    told = values(findings(*partly, *rows))
    names = [name for name in told if name.startswith("service_endpoints_down ")]
    assert (len(names), told["service_ports_left_out"]) == (MOST_SERIES, 101)
    assert "service_endpoints_down shop a  IPv4" not in told
    assert told["service_ports_all_down open"] == 300


def test_checks_that_change() -> None:
    metrics = HealthMetrics()
    assert values(findings((WEB, "10.1.0.1", DOWN, "open")), metrics)["service_endpoints shop web http IPv4"] == 1
    both = findings((WEB, "10.1.0.1", DOWN, "open"), (WEB, "10.1.0.2", UP, "open"))
    assert values(both, metrics)["service_endpoints shop web http IPv4"] == 2
    assert health_metrics.ServicePort(ONE, "IPv4").labels == (
        ("namespace", "edge"),
        ("service", "one"),
        ("port", ""),
        ("family", "IPv4"),
    )
