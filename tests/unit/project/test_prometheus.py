"""The alerts and the dashboard in docs/prometheus ask for what nodes write, as Prometheus and Grafana read it.

And the page about the metrics names all that are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import support
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sluice.backends.interface import Count
from sluice.catalogue.counts import Counts
from sluice.health.reasons import Reason, State
from sluice.health.wire import Heartbeat
from sluice.node import metrics
from sluice.node.answers import Health
from sluice.node.findings import Findings, Unheeded
from sluice.node.health_metrics import HealthMetrics
from sluice.node.rendering import Use
from sluice.node.state import InForce
from sluice.node.status import Drift, Status
from sluice.node.traffic import Counted, ServicePort
from sluice.node.verdicts import Verdict

DOCS = Path(__file__).resolve().parents[3] / "docs"
ALERTS = yaml.safe_load((DOCS / "prometheus/alerts.yml").read_text())
DASHBOARD = json.loads((DOCS / "prometheus/dashboard.json").read_text())

OF_OTHERS = {"node_textfile_mtime_seconds": {"file"}}
"""Labels of what node_exporter itself writes, by name."""

OF_PROMETHEUS = {"instance", "job"}
"""Labels that every sample has that was scraped."""

WORDS = {"by", "on", "or", "group_left", "count", "max", "sum", "topk", "rate", "changes", "time", "vector"}
"""What else an expression here is made of."""

_STRING, _VARIABLE, _DURATION = re.compile(r'"[^"]*"'), re.compile(r"\$\w+"), re.compile(r"\b\d+[smhd]\b")
_SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
_MATCHER = re.compile(r'\s*(\w+)(=~|!~|!=|=)"[^"]*"\s*')
_WORD = re.compile(r"[A-Za-z_]\w*")


def written() -> dict[str, set[str]]:
    """The labels of all metrics that a node may have, by name of the sample."""
    entry = {"time": "2026-11-28T10:12:00Z", "message": "no", "reason": "no"}
    found = Status(
        "lb1", "ipvs", InForce(7, entry["time"]), None, Counts(1, 0, 1, 0), {}, (5, 100), Drift(0), entry, entry
    )
    traffic = {ServicePort("shop", "web", "http", "TCP"): Counted(Count(1, 2, 3, 4, 5), {}, whole=True)}
    rules = {"iptables-ipv4.rules": "-A x\n"}
    use, check = Use("shop/web:http", "tcp", "10.1.0.1", 80, "keep", "open"), ("10.1.0.1", 80, "{}")
    verdict, beat = Verdict(State.DOWN, Reason.REFUSED, 5.0, 1), Heartbeat(7, 1, 1, 1)
    changes = {State.UP: 1, State.DOWN: 1}
    asked = Findings(7, {check: [use]}, {check: verdict}, changes, beat, Unheeded(), "", 0, Health())
    texts = metrics.text(found, rules, support.catalogue(support.service()), traffic), HealthMetrics().text(asked)
    labels: dict[str, set[str]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            assert family.name.startswith("sluice_")
            for sample in family.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


WRITTEN = written()


def wrong(expression: str) -> Iterator[str]:
    """What an expression asks for that there is not."""
    known = {**WRITTEN, **OF_OTHERS}
    for name, matchers in _SELECTOR.findall(expression):
        for matcher in matchers.split(","):
            found = _MATCHER.fullmatch(matcher)
            if not found or found[1] not in known.get(name, set()) | OF_PROMETHEUS:
                yield f"{name}{{{matcher}}}"
    bare = _SELECTOR.sub(r"\1", expression)
    for pattern in (_STRING, _VARIABLE, _DURATION):
        bare = pattern.sub("", bare)
    labels = OF_PROMETHEUS.union(*known.values())
    yield from (word for word in _WORD.findall(bare) if word not in known and word not in WORDS | labels)


def shown() -> list[dict[str, Any]]:
    """The targets of all panels."""
    return [target for panel in DASHBOARD["panels"] for target in panel["targets"]]


def expressions() -> list[str]:
    variables = [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    asked = [each.replace("label_values", "max by ") for each in variables]
    return [
        *(rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]),
        *(target["expr"] for target in shown()),
        *(each["expr"] for each in DASHBOARD["annotations"]["list"]),
        *asked,
    ]


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_asks_for_what_there_is(expression: str) -> None:
    assert list(wrong(expression)) == []
    assert [expression.count(each) for each in "({["] == [expression.count(each) for each in ")}]"]


@pytest.mark.parametrize(
    "expression",
    ["sluice_drift > 0", 'sluice_services{service="a"}', "sluice_services{instance}", "avrage(sluice_services)"],
)
def test_this_finds_what_there_is_not(expression: str) -> None:
    assert list(wrong(expression))


def test_alerts_are_as_promtool_wants_them() -> None:
    names = []
    for group in ALERTS["groups"]:
        assert set(group) == {"name", "rules"}
        for rule in group["rules"]:
            assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
            assert re.fullmatch(r"Sluice[A-Za-z]+", rule["alert"])
            assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
            assert set(rule["annotations"]) == {"summary", "description"}
            assert rule["labels"]["severity"] in ("warning", "critical")
            labels = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
            metric = next(name for name in _WORD.findall(rule["expr"]) if name in {**WRITTEN, **OF_OTHERS})
            assert set(labels) <= OF_PROMETHEUS | {**WRITTEN, **OF_OTHERS}[metric]
            names.append(rule["alert"])
    assert len(names) == len(set(names))
    assert {"SluiceDrift", "SluiceServiceWithoutEndpoints", "SluiceApplyRolledBack"} <= set(names)


def test_the_dashboard_is_as_grafana_reads_it() -> None:
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time", "tags"} <= set(DASHBOARD)
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells, "no panel lies on another one"
        assert max(x for x, _y in own) < 24, "a row of Grafana has 24 columns"
        cells |= own
        assert panel["type"] in ("stat", "timeseries", "table")
        assert panel["targets"]
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    own = {"__rate_interval", "__interval"}
    assert {name for text in expressions() for name in re.findall(r"\$(\w+)", text)} <= variables | own
    used = {target["datasource"]["uid"] for target in shown()} | {panel["datasource"]["uid"] for panel in panels}
    assert used == {"${datasource}"}


def test_the_pages_name_all_that_is_written() -> None:
    page, of_health = ((DOCS / name).read_text() for name in ("metrics.md", "health.md"))
    prefix = "sluice_health_"
    own = {name for name in WRITTEN if not name.startswith(prefix)}
    assert own == set(re.findall(r"^\| `(sluice_\w+)`", page, re.MULTILINE))
    assert [name for name in WRITTEN.keys() - own if f"`{name[len(prefix) :]}" not in of_health] == []
