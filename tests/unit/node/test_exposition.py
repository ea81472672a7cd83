"""What is printed for Prometheus is read by its own parser, whatever is in it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parsed

from sluice.node import exposition
from sluice.node.exposition import COUNTER, GAUGE, Metric, counter, metric

AWKWARD = 'a "b" \\ c\nd {e="f"}, \\n ü'


def test_what_the_parser_reads_is_what_was_meant() -> None:
    text = exposition.text(
        [
            metric("late_seconds", AWKWARD, 0.25),
            counter("changes_total", "Changes.", 10**15),
            Metric("checks", GAUGE, "Checks.", {(("state", "up"), ("name", AWKWARD)): 3, (("state", "down"),): 0}),
        ]
    )
    late, changes, checks = parsed(text)
    assert (late.name, late.type, late.documentation) == ("sluice_late_seconds", GAUGE, AWKWARD)
    assert [(each.labels, each.value) for each in late.samples] == [({}, 0.25)]
    assert (changes.name, changes.type) == ("sluice_changes", COUNTER)
    assert [(each.name, each.value) for each in changes.samples] == [("sluice_changes_total", 10**15)]
    assert [(each.labels, each.value) for each in checks.samples] == [
        ({"state": "up", "name": AWKWARD}, 3),
        ({"state": "down"}, 0),
    ]


def test_what_is_not_known_is_left_out() -> None:
    some = Metric("some", GAUGE, "Some.", {(("a", "1"),): None, (("a", "2"),): 2})
    assert exposition.text([metric("none", "None.", None), Metric("empty", GAUGE, "None.", {}), some]) == (
        '# HELP sluice_some Some.\n# TYPE sluice_some gauge\nsluice_some{a="2"} 2\n'
    )
