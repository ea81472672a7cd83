"""Prometheus' text form (prometheus.io, exposition formats), as node_exporter reads it from files ``*.prom``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Optional, Union

GAUGE, COUNTER = "gauge", "counter"

Labels = tuple[tuple[str, str], ...]
"""Names of labels, each with its value."""

Values = Mapping[Labels, Optional[Union[int, float]]]
"""The value by its labels; None: not known."""


class Metric(NamedTuple):
    """``name`` without ``sluice_``; a counter's ends with ``_total``."""

    name: str
    kind: str
    description: str
    values: Values


def metric(name: str, description: str, value: float | None) -> Metric:
    """A gauge that has no labels."""
    return Metric(name, GAUGE, description, {(): value})


def counter(name: str, description: str, value: float | None) -> Metric:
    """A counter that has no labels."""
    return Metric(name, COUNTER, description, {(): value})


def text(metrics: Iterable[Metric]) -> str:
    """Their lines; a value that is not known is left out, and a metric of which none is."""
    lines = []
    for name, kind, description, values in metrics:
        known = [f"sluice_{name}{_labels(each)} {value}" for each, value in values.items() if value is not None]
        if known:
            help_text = _escaped(description)
            lines += [f"# HELP sluice_{name} {help_text}", f"# TYPE sluice_{name} {kind}", *known]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', '\\"')
